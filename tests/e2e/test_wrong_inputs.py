#!/usr/bin/env python3
"""Tables of what people get wrong: configurations, command lines, data. Each row is a test of its own.

Every row must end with the stated exit code and messages at the stated place, without a crash, and without showing a
secret. The sanitizer build is used where there is one."""
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLAIN = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
ASAN = os.environ.get("SEGWATCH_ASAN", "")
PROGRAM = ASAN if ASAN and os.path.exists(ASAN) else PLAIN

SECRET = "aHVudGVyMg=="  # whatever row it stands in, it is never printed
STRING = f"Endpoint=sb://weu.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey={SECRET}"
EVENTHUBS = "sources:\n- {name: weu, kind: eventhubs, topic: hub, connection_string: {file: %s}}\n"

# name, text of the configuration, [(line, column, message)]; "{dir}" is the folder of the row's files.
CONFIGURATIONS = [
    # YAML itself
    ("tab_indents", "time:\n\treorder: 2m\n", [(2, 1, "a tab cannot indent")]),
    ("colon_in_text", "state: dir: /x\n", [(1, 11, "not YAML: .*mapping values")]),
    ("open_bracket", "segments: [\n", [(2, 1, "not YAML")]),
    ("not_utf8", b"state: {dir: /\xff}\n", [(1, 15, r"not UTF-8 text: .*\(0xFF\)")]),
    ("utf16", "time: {}".encode("utf-16"), [(1, 1, "not UTF-8 text")]),
    ("binary", bytes(range(256)), [(1, 1, "not UTF-8 text")]),
    ("anchor", "time: &t {reorder: 2m}\n", [(1, 7, "anchors .* not supported")]),
    ("alias", "time: *t\n", [(1, 7, "aliases"), ]),
    ("alias in a free map", "sources: [{name: a, kind: kafka, brokers: [x:1], topic: t, librdkafka: {client.rack: *x}}]\n",
     [(1, 86, "aliases"), ]),
    ("tag", "learning: !!str 7d\n", [(1, 11, "tags")]),
    ("merge_key", "time:\n  <<: {reorder: 2m}\n", [(2, 3, "merge keys"), (2, 3, "unknown key '<<'")]),
    ("two_documents", "learning: 7d\n---\nlearning: 8d\n", [(2, 1, "second document")]),
    ("too_deep", "a: " + "[" * 5000 + "]" * 5000, [(1, 35, "nested more than 32")]),
    ("too_large", "#" * (17 << 20), [(None, None, "larger than 16 MiB")]),
    ("many_keys", "".join(f"k{i}: 1\n" for i in range(600)), [(513, 1, "more than 512 keys")]),
    ("duplicate_key", "learning: 7d\nlog: {}\nlearning: 8d\n", [(3, 1, "'learning' is given twice, first on line 1")]),
    ("duplicate_key_inside", "log: {level: info, level: debug}\n", [(1, 20, "'level' is given twice")]),
    ("top_level_list", "- a\n- b\n", [(1, 1, "must be a map of keys.*this is a list")]),
    ("top_level_text", "hello\n", [(1, 1, "must be a map of keys.*this is a single value")]),
    ("list_as_key", "? [a]\n: b\n", [(1, 3, "a key must be text")]),
    # keys
    ("unknown_key", "segmets: []\n", [(1, 1, "unknown key 'segmets'; did you mean 'segments'\\?")]),
    ("unknown_key_without_guess", "frobnicate: 1\n", [(1, 1, "unknown key 'frobnicate'$")]),
    ("unknown_key_inside", "time: {reoder: 2m}\n", [(1, 8, "did you mean 'reorder'")]),
    ("control_byte_in_key", '"a\\e[31m": 1\n', [(1, 1, r"unknown key 'a\\x1b\[31m'")]),
    ("source_auth_without_brokers", "sources:\n- {name: s, kind: eventhubs, auth: {managed_identity: {}}}\n",
     [(2, 3, "needs 'brokers'"), (2, 3, "needs 'topic'")]),
    ("source_auth_and_string", "sources:\n- {name: s, kind: eventhubs, brokers: [\"h:1\"], topic: t, connection_string: {file: /x}, "
     "auth: {managed_identity: {}}}\n", [(2, 3, "'connection_string' has no meaning for a source of kind eventhubs with auth")]),
    ("source_auth_kafka", "sources:\n- {name: s, kind: kafka, brokers: [\"h:1\"], topic: t, auth: {managed_identity: {}}}\n",
     [(2, 3, "'auth' has no meaning for a source of kind kafka")]),
    ("output_without_keys", "outputs:\n- {name: s, kind: sentinel}\n",
     [(2, 3, "needs 'endpoint'"), (2, 3, "needs 'dcr'"), (2, 3, "needs 'auth'")]),
    ("output_http", "outputs:\n- {name: s, kind: webhook, url: \"http://h/\"}\n", [(2, 3, "not an https:// URL")]),
    ("output_two_ways", "outputs:\n- {name: s, kind: sentinel, endpoint: \"https://h\", dcr: d, auth: {managed_identity: {}, "
     "client_secret: {credential: c}}}\n", [(2, 3, "auth needs only one of")]),
    ("output_secret_inline", "outputs:\n- {name: s, kind: webhook, url: \"https://h/\", signature: canary}\n",
     [(2, 58, "signature is a secret and does not stand in the configuration")]),
    ("output_other_kind", "outputs:\n- {name: s, kind: syslog, address: \"h:1\", dcr: d}\n",
     [(2, 3, "'dcr' has no meaning for an output of kind syslog")]),
    ("output_address", "outputs:\n- {name: s, kind: syslog, address: \"fd00::1:514\"}\n", [(2, 3, "not HOST:PORT")]),
    ("output_detector", "outputs:\n- {name: s, kind: syslog, address: \"h:1\", detectors: [segment_polic]}\n",
     [(2, 3, "did you mean 'segment_policy'")]),
    ("output_alert_file", "outputs:\n- {name: alerts, kind: syslog, address: \"h:1\"}\n", [(2, 3, "stands for the alert file")]),
    ("admin_remote", "admin: {http: \"0.0.0.0:9477\"}\n", [(1, 15, "can be reached by others")]),
    ("packs_later", "packs: [identity]\n", [(1, 1, "'packs' is not available in this version")]),
    ("short_checkpoint", "state: {checkpoint: 10ms}\n", [(1, 21, "10ms is not between 1s and 1h")]),
    # types, units, ranges
    ("bare_duration", "time: {reorder: 2}\n", [(1, 17, "'2' has no unit; write 2ms, 2s, 2m, 2h or 2d")]),
    ("fraction", "learning: 1.5d\n", [(1, 11, "'1.5d' is not a duration")]),
    ("negative_duration", "time: {lateness: -1h}\n", [(1, 18, "not a duration")]),
    ("long_reorder", "time: {reorder: 2h, idle: 3h}\n", [(1, 17, "2h is not between 0 and 1h")]),
    ("short_idle", "time:\n  reorder: 5m\n  idle: 3m\n", [(3, 9, "idle is 3m, it must be at least reorder \\+ 1m.*6m")]),
    ("duration_list", "learning: [7d]\n", [(1, 11, "learning must be a single value, this is a list")]),
    ("decimal_size", "memory: {limit: 512MB}\n", [(1, 17, "'512MB' is not a size.*powers of 1024")]),
    ("small_memory", "memory: {limit: 32MiB}\n", [(1, 17, "32MiB is not between 64MiB and 1TiB")]),
    ("huge_size", "memory: {limit: 99999999999999999999TiB}\n", [(1, 17, "not a size")]),
    ("yes_for_bool", "alerts: {signals: yes}\n", [(1, 19, "'yes' is not true or false")]),
    ("quoted_bool", "alerts: {signals: \"true\"}\n", [(1, 19, "without quotes")]),
    ("bool_for_text", "state: {dir: no}\n", [(1, 14, 'write "no"')]),
    ("empty_text", "state: {dir: \"\"}\n", [(1, 14, "dir is empty")]),
    ("nothing_for_text", "state:\n  dir:\n", [(2, 7, "dir must be a single value, this is nothing")]),
    ("newline_in_text", "state: {dir: \"/a\\nb\"}\n", [(1, 14, r"control character: '/a\\x0ab'")]),
    ("keep_nothing", "alerts: {rotate: {keep: 0}}\n", [(1, 25, "0 is not between 1 and 1000")]),
    ("level", "log: {level: warn}\n", [(1, 14, "'warn' is not one of error, warning, info, debug")]),
    ("severity", "incidents: {min_severity: hihg}\n", [(1, 27, "did you mean 'high'")]),
    ("section_is_text", "time: 2m\n", [(1, 7, "time must be a map of keys")]),
    # segments
    ("host_bits", "segments:\n- {name: a, cidrs: [10.1.0.5/24]}\n",
     [(2, 21, "10.1.0.5/24 has host bits set; the range is 10.1.0.0/24")]),
    ("host_bits_v6", "segments:\n- {name: a, cidrs: [\"fd00::1/64\"]}\n", [(2, 21, "the range is fd00::/64")]),
    ("not_a_cidr", "segments:\n- {name: a, cidrs: [10.1/16]}\n", [(2, 21, "'10.1/16' is not an address range")]),
    ("long_prefix", "segments:\n- {name: a, cidrs: [10.0.0.0/33]}\n", [(2, 21, "not an address range")]),
    ("no_cidrs", "segments:\n- {name: a}\n", [(2, 3, "key 'cidrs' is missing")]),
    ("empty_cidrs", "segments:\n- {name: a, cidrs: []}\n", [(2, 20, "the list is empty")]),
    ("no_name", "segments:\n- {cidrs: [10.0.0.0/8]}\n", [(2, 3, "key 'name' is missing")]),
    ("same_cidr", "segments:\n- {name: a, cidrs: [10.1.0.0/16]}\n- {name: b, cidrs: [10.2.0.0/16, 10.1.0.0/16]}\n",
     [(3, 34, "10.1.0.0/16 stands already in segment 'a' at .*segwatch.yaml:2")]),
    ("same_public_cidr_in_two_realms", "realms:\n- {name: r, flow_logs: [/subscriptions/x]}\nsegments:\n"
     "- {name: a, cidrs: [20.1.0.0/16]}\n- {name: b, realm: r, cidrs: [20.1.0.0/16]}\n",
     [(5, 31, "20.1.0.0/16 stands already in segment 'a'")]),
    ("same_segment", "segments:\n- {name: a, cidrs: [10.1.0.0/16]}\n- {name: a, cidrs: [10.2.0.0/16]}\n",
     [(3, 3, "name 'a' is given twice, first at .*segwatch.yaml:2")]),
    ("reserved_name", "segments:\n- {name: Internet, cidrs: [10.1.0.0/16]}\n", [(2, 3, "reserved name")]),
    ("strange_name", "segments:\n- {name: \"a b\", cidrs: [10.1.0.0/16]}\n", [(2, 3, "not 'a b'")]),
    ("criticality", "segments:\n- {name: a, cidrs: [10.1.0.0/16], criticality: 5}\n", [(2, 48, "5 is not between 1 and 4")]),
    ("role", "segments:\n- {name: a, cidrs: [10.1.0.0/16], role: databse}\n", [(2, 41, "'databse' is not one of none, app")]),
    ("unknown_realm", "segments:\n- {name: a, cidrs: [10.1.0.0/16], realm: x}\n", [(2, 42, "there is no realm 'x'")]),
    ("realm_without_prefix", "realms:\n- {name: r, flow_logs: [/]}\n", [(2, 3, "a prefix of resource ids is needed")]),
    ("segments_map", "segments: {web: [10.0.0.0/8]}\n", [(1, 11, "segments must be a list")]),
    # policy
    ("unknown_segment", "segments:\n- {name: web, cidrs: [10.1.0.0/16]}\npolicy:\n- {from: web, to: wbe}\n",
     [(4, 19, "to: there is no segment 'wbe'; did you mean 'web'")]),
    ("unknown_segment_any", "policy:\n- {from: all, to: internet}\n", [(2, 10, "from: there is no segment 'all'")]),
    ("no_destination", "policy:\n- {from: any}\n", [(2, 3, "key 'to' is missing")]),
    ("service", "policy:\n- {from: any, to: internet, services: [shh]}\n", [(2, 40, "service 'shh' is not a port.*'ssh'")]),
    ("port_range", "policy:\n- {from: any, to: internet, services: [10-5]}\n", [(2, 40, "'10-5' is not a port")]),
    ("port_zero", "policy:\n- {from: any, to: internet, services: [0/tcp, 65536]}\n",
     [(2, 40, "'0/tcp' is not"), (2, 47, "'65536' is not")]),
    ("protocol", "policy:\n- {from: any, to: internet, services: 80/http}\n", [(2, 39, "'80/http' is not a port")]),
    ("any_and_more", "policy:\n- {from: any, to: internet, services: [any, ssh]}\n", [(2, 39, "'any' stands alone")]),
    # hosts
    ("host_role", "hosts: {scaner: [10.0.0.1]}\n", [(1, 9, "'scaner' is not a role of hosts.*did you mean 'scanner'")]),
    ("host_address", "hosts: {scanner: [10.0.0.256]}\n", [(1, 19, "'10.0.0.256' is not an address range")]),
    # detectors
    ("detector", "detectors: {horizontal_scna: {mode: off}}\n", [(1, 13, "no detector 'horizontal_scna'.*horizontal_scan")]),
    ("detector_mode", "detectors:\n  pivot_chain: {mode: on}\n", [(2, 23, "'on' is not one of signal, alert, shadow, off")]),
    ("detector_option", "detectors:\n  horizontal_scan: {target_5m: 3}\n", [(2, 21, "unknown key 'target_5m'")]),
    ("detector_text", "detectors: {pivot_chain: off}\n", [(1, 26, "pivot_chain must be a map of keys")]),
    # sources
    ("no_kind", "sources:\n- {name: a}\n", [(2, 3, "key 'kind' is missing")]),
    ("kind", "sources:\n- {name: a, kind: kafak}\n", [(2, 19, "'kafak' is not one of eventhubs, kafka, file.*'kafka'")]),
    ("same_source", "sources:\n- {name: a, kind: file, path: /x}\n- {name: a, kind: file, path: /y}\n", [(3, 3, "given twice")]),
    ("eventhubs_without_secret", "sources:\n- {name: a, kind: eventhubs}\n", [(2, 3, "needs 'connection_string'")]),
    ("kafka_without_brokers", "sources:\n- {name: a, kind: kafka}\n", [(2, 3, "needs 'brokers'"), (2, 3, "needs 'topic'")]),
    ("file_without_path", "sources:\n- {name: a, kind: file}\n", [(2, 3, "needs 'path'")]),
    ("file_with_topic", "sources:\n- {name: a, kind: file, path: /x, topic: t}\n", [(2, 3, "'topic' has no meaning")]),
    ("broker", "sources:\n- {name: a, kind: kafka, topic: t, brokers: [localhost]}\n", [(2, 46, "'localhost' is not HOST:PORT")]),
    ("topic", "sources:\n- {name: a, kind: kafka, topic: \"a/b\", brokers: [x:1]}\n", [(2, 3, "topic 'a/b' is not")]),
    ("start", "sources:\n- {name: a, kind: file, path: /x, start: yesterday}\n", [(2, 42, "'yesterday' is not earliest, latest")]),
    ("librdkafka", "sources:\n- {name: a, kind: kafka, topic: t, brokers: [x:1], librdkafka: {fetch.min: 1, group.id: x}}\n",
     [(2, 65, "'fetch.min' is not a setting of librdkafka"), (2, 79, "'group.id' is set by segwatch")]),
    ("librdkafka_password", "sources:\n- {name: a, kind: kafka, topic: t, brokers: [x:1], librdkafka: {sasl.password: " + SECRET
     + "}}\n", [(2, 65, "a secret and does not stand in the configuration")]),
    ("password_without_user", "sources:\n- {name: a, kind: kafka, topic: t, brokers: [x:1], password: {credential: k}, "
     "librdkafka: {sasl.mechanism: PLAIN, security.protocol: SASL_SSL}}\n", [(2, 3, "a password needs 'sasl.username'")]),
    ("password_of_a_hub", "sources:\n- {name: a, kind: eventhubs, connection_string: {credential: k}, "
     "password: {credential: k}}\n", [(2, 3, "'password' has no meaning")]),
    ("output_password", "outputs:\n- {name: a, kind: kafka, topic: t, brokers: [x:1], librdkafka: {sasl.password: " + SECRET
     + ", ssl.key.password: " + SECRET + "}}\n", [(2, 65, "a secret and does not stand in the configuration; write password"),
                                                  (2, 94, "a secret and does not stand in the configuration")]),
    # secrets
    ("secret_in_configuration", f"sources:\n- {{name: a, kind: eventhubs, connection_string: \"{STRING}\"}}\n",
     [(2, 49, "connection_string is a secret and does not stand"), (2, 3, "needs 'connection_string'")]),
    ("secret_under_wrong_key", f"sources:\n- {{name: a, kind: eventhubs, conection_string: \"{STRING}\"}}\n",
     [(2, 30, "unknown key 'conection_string'; did you mean 'connection_string'"), (2, 3, "needs 'connection_string'")]),
    ("secret_as_topic", f"sources:\n- {{name: a, kind: kafka, brokers: [x:1], topic: \"{STRING}\"}}\n",
     [(2, 3, r"topic '\(not shown\)' is not")]),
    ("secret_two_ways", "sources:\n- {name: a, kind: eventhubs, connection_string: {file: /x, credential: y}}\n",
     [(2, 49, "a secret and does not stand"), (2, 3, "needs 'connection_string'")]),
    ("secret_file_missing", EVENTHUBS % "{dir}/none", [(2, 3, "secret .*/none: No such file")]),
    ("secret_file_empty", EVENTHUBS % "{dir}/empty", [(2, 3, "secret .*/empty is empty")]),
    ("secret_file_large", EVENTHUBS % "{dir}/large", [(2, 3, "larger than 64 KiB")]),
    ("secret_is_a_folder", EVENTHUBS % "{dir}", [(2, 3, "is not a file")]),
    ("secret_is_something_else", EVENTHUBS % "{dir}/key", [(2, 3, "the connection string has no Endpoint")]),
    ("secret_is_a_signature", EVENTHUBS % "{dir}/signature", [(2, 3, "SharedAccessSignature; the Kafka endpoint")]),
    ("secret_for_the_emulator", EVENTHUBS % "{dir}/emulator", [(2, 3, "emulator")]),
    ("secret_of_another_service", EVENTHUBS % "{dir}/storage", [(2, 3, "has no Endpoint")]),
    ("entity_path_differs", EVENTHUBS % "{dir}/entity", [(2, 3, "topic 'hub' is not the EntityPath 'other'")]),
    ("no_hub_named", (EVENTHUBS % "{dir}/good").replace("topic: hub, ", ""), [(2, 3, "needs 'topic'.*no EntityPath")]),
    # files
    ("include_missing", "include: [no.yaml]\n", [(1, 10, "include: there is no file 'no.yaml'")]),
    ("include_itself", "learning: 7d\ninclude: [segwatch.yaml]\n", [(2, 10, "include: '.*segwatch.yaml' is this file itself")]),
    ("include_itself_another_way", "include: [./segwatch.yaml]\n", [(1, 10, "is this file itself")]),
    ("include_folder", "include: [/tmp]\n", [(1, 10, "include: '/tmp' is a folder; its files are '/tmp/\\*.yaml'")]),
    ("include_not_yaml", "include: [bracket.yaml]\npolicy:\n- {from: any, to: db}\n",
     [("bracket.yaml", 2, 1, "not YAML")]),
    ("include_broken", "include: [\"part-*.yaml\"]\n", [("part-a.yaml", 1, 1, "unknown key 'segmnts'")]),
    ("include_setting", "include: [setting.yaml]\n",
     [("setting.yaml", 1, 1, "'learning' belongs in the main file"), ("setting.yaml", 2, 1, "'include' belongs in the main file")]),
    ("include_same_segment", "segments:\n- {name: a, cidrs: [10.0.0.0/8]}\ninclude: [segment.yaml]\n",
     [("segment.yaml", 1, 13, "name 'a' is given twice, first at .*segwatch.yaml:2"),
      ("segment.yaml", 1, 31, "10.0.0.0/8 stands already in segment 'a' at .*segwatch.yaml:2")]),
    ("alert_file_is_quarantine", "alerts:\n  file: /x/a.jsonl\n  quarantine: /x/a.jsonl\n", [(3, 15, "are the same file")]),
    ("alert_file_is_signals", "alerts: {file: /x/signals.jsonl}\n", [(1, 16, "signals.jsonl is the file of signals")]),
    # several at once, in file order
    ("all_errors", "learnin: 1\ntime: {reorder: 5}\nsegments:\n- {name: a, cidrs: [1]}\npolicy:\n- {from: b, to: a}\n",
     [(1, 1, "learning"), (2, 17, "unit"), (4, 21, "address range"), (6, 10, "no segment 'b'")]),
]

FILES = {
    "bracket.yaml": "segments: [\n",
    "empty": "", "large": "x" * 70000, "key": SECRET + "\n", "good": STRING + "\n",
    "signature": f"Endpoint=sb://weu.servicebus.windows.net/;SharedAccessSignature=SharedAccessSignature sr=x&sig={SECRET}",
    "emulator": f"Endpoint=sb://localhost;SharedAccessKeyName=l;SharedAccessKey={SECRET};UseDevelopmentEmulator=true",
    "storage": f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={SECRET};EndpointSuffix=core.windows.net",
    "entity": STRING + ";EntityPath=other", "part-a.yaml": "segmnts: []\n", "setting.yaml": "learning: 7d\ninclude: []\n",
    "segment.yaml": "segments: [ {name: a, cidrs: [10.0.0.0/8]} ]\n",
}

# name, arguments, exit code, message on stderr
COMMANDS = [
    ("no_verb", [], 64, "usage: segwatch VERB"),
    ("unknown_verb", ["chekc"], 64, "no verb 'chekc'"),
    ("unknown_option", ["check", "--frob"], 64, "unknown option '--frob'"),
    ("short_option", ["check", "-x"], 64, "unknown option '-x'"),
    ("value_missing", ["check", "-c"], 64, "'-c' needs a value"),
    ("positional_file", ["check", "segwatch.yaml"], 64, "the file is given with -c"),
    ("test_alert_operand", ["test-alert", "x"], 64, "unexpected argument 'x'"),
    ("two_outputs", ["check", "--dump", "--schema"], 64, "only one of"),
    ("file_missing", ["check", "-c", "/nonexistent/segwatch.yaml"], 78, "/nonexistent/segwatch.yaml: cannot be read: No such"),
    ("file_is_a_folder", ["check", "-c", "/"], 78, "/: cannot be read: it is a directory"),
    ("run_unknown_option", ["run", "--frob"], 64, "(unknown|unrecognized|invalid) option|no verb"),
    ("replay_unknown_option", ["replay", "--frob"], 64, "(unknown|unrecognized|invalid) option|no verb"),
    ("tail_severity", ["tail", "--severity", "loud"], 64, "loud"),
    ("version_argument", ["version", "x"], 64, "unexpected argument 'x'"),
]

RECORD = ('{"time":"2024-12-12T04:00:53.1234567Z","flowLogVersion":4,"macAddress":"00224871C205",'
          '"category":"FlowLogFlowEvent","operationName":"FlowLogFlowEvent","flowLogResourceID":"/SUBSCRIPTIONS/S/FLOWLOGS/F",'
          '"targetResourceID":"/subscriptions/s/virtualNetworks/v","flowRecords":{"flows":[{"aclID":"a","flowGroups":'
          '[{"rule":"r","flowTuples":[%s]}]}]}}')
TUPLE = '"1733976053000,10.0.0.4,10.0.0.5,50000,443,6,O,B,NX,0,0,0,0"'
GOOD = '{"records":[' + RECORD % TUPLE + ']}\n'

# name, {file: bytes}, arguments (relative to the folder), standard input, exit code, message on stderr
DATA = [
    ("empty_file", {"a.json": b""}, ["a.json"], None, 0, "warning|empty|no records|nothing"),
    ("empty_stdin", {}, ["-"], b"", 0, "warning|empty|no records|nothing"),
    ("blank_lines", {"a.json": b"\n \n\r\n"}, ["a.json"], None, 0, "warning|empty|no records|nothing"),
    ("empty_folder", {"d/": None}, ["d"], None, 0, "warning|empty|no files|nothing"),
    ("missing_path", {}, ["none.json"], None, 1, "none.json.*No such file"),
    ("one_of_two_missing", {"a.json": GOOD.encode()}, ["a.json", "none.json"], None, 1, "none.json.*No such file"),
    ("no_path", {}, [], None, 64, "give a file, a folder, or -"),
    ("text", {"a.json": b"hello world\n"}, ["a.json"], None, 65, ""),
    ("binary", {"a.json": bytes(range(1, 256)) * 40}, ["a.json"], None, 65, ""),
    ("nul_bytes", {"a.json": bytes(4096)}, ["a.json"], None, 65, ""),
    ("html", {"a.json": b"<html><body>AuthenticationFailed</body></html>"}, ["a.json"], None, 65, ""),
    ("csv", {"a.json": b"time,src,dst\n1,2,3\n"}, ["a.json"], None, 65, ""),
    ("other_json", {"a.json": b'{"hello":"world"}\n'}, ["a.json"], None, 65, ""),
    ("numbers", {"a.json": b"[1,2,3]\n"}, ["a.json"], None, 65, ""),
    ("truncated_gzip", {"a.json.gz": gzip.compress(GOOD.encode() * 50, mtime=0)[:40]}, ["a.json.gz"], None, 65, ""),
    ("gzip_of_nonsense", {"a.json.gz": gzip.compress(b"\x00\x01nonsense" * 9, mtime=0)}, ["a.json.gz"], None, 65, ""),
    ("gzip_magic_only", {"a.json.gz": b"\x1f\x8b"}, ["a.json.gz"], None, 65, ""),
    ("deep_json", {"a.json": b"[" * 100000}, ["a.json"], None, 65, ""),
    ("bad_tuples_only", {"a.json": (GOOD.replace(TUPLE, '"1,2,3","x"')).encode()}, ["a.json"], None, (0, 65), ""),
    ("bad_message_beside_a_good_one", {"a.json": b"nonsense\n" + GOOD.encode()}, ["a.json"], None, 0, ""),
    ("cut_record_beside_a_good_one", {"a.json": GOOD.encode() + GOOD.encode()[:200]}, ["a.json"], None, 0, ""),
    ("configuration_missing", {"a.json": GOOD.encode()}, ["-c", "none.yaml", "a.json"], None, 78, "none.yaml: cannot be read"),
    ("configuration_wrong", {"a.json": GOOD.encode(), "c.yaml": b"learnin: 1\n"}, ["-c", "c.yaml", "a.json"], None, 78,
     "c.yaml:1:1: unknown key 'learnin'"),
    ("jobs", {"a.json": GOOD.encode()}, ["-j", "x", "a.json"], None, 64, "x"),
]


def run(args, cwd=None, stdin=b""):
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99",
               UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:exitcode=99")
    env.pop("CREDENTIALS_DIRECTORY", None)
    p = subprocess.run([os.path.abspath(PROGRAM)] + args, cwd=cwd, input=stdin, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=120, env=env)
    return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")


class Base(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def sane(self, code, out, err):
        """What no input whatever may cause."""
        self.assertIn(code, (0, 1, 64, 65, 75, 78), err[-3000:])
        for text in (out, err):
            self.assertNotIn(SECRET, text)
            for sign in ("Sanitizer", "runtime error", "Assertion", "\x1b", "core dumped"):
                self.assertNotIn(sign, text)


class Configuration(Base):
    def check(self, text, expected):
        for name, content in FILES.items():
            (self.dir / name).write_text(content)
            (self.dir / name).chmod(0o600)
        file = self.dir / "segwatch.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.replace("{dir}", str(self.dir)).encode())
        code, out, err = run(["check", "-c", str(file)])
        self.sane(code, out, err)
        self.assertEqual((code, out), (78, ""), err)
        lines = err.splitlines()
        self.assertEqual(len([l for l in lines if "warning:" not in l]) - 1, min(100, len(expected)), err)
        for row in expected:
            place = row if len(row) == 4 else ("segwatch.yaml",) + row
            where = re.escape(str(self.dir / place[0])) + (f":{place[1]}:{place[2]}" if place[1] else "")
            self.assertTrue(any(re.match(where + ": .*" + place[3], l) for l in lines), f"{where}: {place[3]}\n{err}")
        self.assertRegex(lines[-1], rf"segwatch.yaml: {len(expected)} errors?$")

    def test_good_secret_passes(self):
        """The rows about secrets fail for their stated reason, not for another."""
        secret = self.dir / "good"
        secret.write_text(FILES["good"])
        secret.chmod(0o600)
        file = self.dir / "segwatch.yaml"
        file.write_text(EVENTHUBS % secret)
        code, out, err = run(["check", "-c", str(file)])
        self.sane(code, out, err)
        self.assertEqual(code, 0, err)
        self.assertNotIn("warning", err)
        secret.chmod(0o644)
        code, out, err = run(["check", "-c", str(file), "--dump"])
        self.sane(code, out, err)
        self.assertEqual(code, 0, err)
        self.assertIn("readable by everybody", err)
        self.assertIn("connection_string: {file:", out)

    def test_more_than_a_hundred_errors_are_counted(self):
        file = self.dir / "segwatch.yaml"
        file.write_text("".join(f"k{i}: 1\n" for i in range(300)))
        code, out, err = run(["check", "-c", str(file)])
        self.sane(code, out, err)
        self.assertEqual(code, 78)
        self.assertIn("200 more are not shown", err)
        self.assertIn("300 errors", err)


    def test_what_was_not_counted_is_not_claimed(self):
        file = self.dir / "segwatch.yaml"
        file.write_text("k: 1\n" * 600)
        code, out, err = run(["check", "-c", str(file)])
        self.sane(code, out, err)
        self.assertEqual(code, 78)
        self.assertRegex(err.splitlines()[-1], "segwatch.yaml: more than 512 errors$")

    def test_run_of_what_is_not_yaml_misses_nothing_else(self):
        file = self.dir / "segwatch.yaml"
        file.write_text("sources: [\n")
        for path in (file, self.dir / "none.yaml"):
            code, out, err = run(["run", "-c", str(path)])
            self.sane(code, out, err)
            self.assertEqual(code, 78)
            self.assertNotIn("there are no sources", err)
            self.assertEqual(len(err.splitlines()), 1, err)

    def test_no_sources_is_a_warning_of_check(self):
        file = self.dir / "segwatch.yaml"
        file.write_text("learning: 7d\n")
        code, out, err = run(["check", "-c", str(file)])
        self.assertEqual(code, 0)
        self.assertIn("warning: there are no sources", err)

    def test_a_pattern_may_match_the_file_itself(self):
        file = self.dir / "segwatch.yaml"
        file.write_text("include: [\"*.yaml\"]\nlearning: 7d\n")
        (self.dir / "more.yaml").write_text("segments: []\n")
        code, out, err = run(["check", "-c", str(file)])
        self.assertEqual(code, 0, err)
        self.assertIn("2 files", err)

    def test_a_pipe_is_read_to_its_end(self):
        pipe = self.dir / "pipe"
        os.mkfifo(pipe)
        p = subprocess.Popen([os.path.abspath(PROGRAM), "check", "-c", str(pipe)], stderr=subprocess.PIPE)
        time.sleep(0.3)
        with open(pipe, "w") as f:
            for line in ("segments:\n", "- {name: a, cidrs: [10.0.0.0/8]}\n"):
                f.write(line)
                f.flush()
                time.sleep(0.2)
        err = p.communicate(timeout=60)[1].decode()
        self.assertEqual(p.returncode, 0, err)
        self.assertIn("1 segment,", err)
        p = subprocess.run(["bash", "-c", 'exec "$0" check -c <(sleep 0.3; echo "learnin: 7d")', os.path.abspath(PROGRAM)],
                           stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(p.returncode, 78)
        self.assertRegex(p.stderr.decode(), ":1:1: unknown key 'learnin'")


class Command(Base):
    def test_help_of_help_is_the_overview(self):
        overview = run(["help"])
        for args in (["--help"], ["help", "--help"], ["help", "help"], ["help", "-h"]):
            self.assertEqual(run(args), overview)

    def test_a_full_disk_is_said(self):
        finding = self.dir / "in"
        finding.write_text('{"class_uid":2004,"finding_info":{"uid":"1","title":"x"},"time":1}\n')
        for args in (["--help"], ["help", "check"], ["version"], ["check", "--sample"], ["check", "--schema"],
                     ["tail", "-o", "json", str(finding)]):
            with open("/dev/full", "w") as full:
                p = subprocess.run([os.path.abspath(PROGRAM)] + args, stdout=full, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(p.returncode, 1, args)
            self.assertRegex(p.stderr.decode(), "standard output: No space left", args)

    def test_tail_of_something_else_says_so(self):
        for content in (os.urandom(5000), GOOD.encode(), b"[1]\n"):
            (self.dir / "in").write_bytes(content)
            for args, stdin in ((["tail", "in"], b""), (["tail", "-"], content)):
                code, out, err = run(args, cwd=self.dir, stdin=stdin)
                self.sane(code, out, err)
                self.assertEqual((code, out), (65, ""), err)
                self.assertRegex(err, "nothing in (in|the input) is a finding")
        self.assertEqual(run(["tail", "-"], stdin=b"")[0], 0, "nothing at all is no mistake")


def has_replay():
    return bool(re.search(r"^  replay ", run(["help"])[1], re.M))


class Data(Base):
    def replay(self, files, args, stdin, codes, message):
        for name, content in files.items():
            path = self.dir / name
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content)
        code, out, err = run(["replay"] + args, cwd=self.dir, stdin=stdin or b"")
        self.sane(code, out, err)
        self.assertIn(code, codes if isinstance(codes, tuple) else (codes,), err[-3000:])
        self.assertRegex(err, re.compile(message, re.I))


def fill():
    for name, text, expected in CONFIGURATIONS:
        setattr(Configuration, f"test_{name}", lambda self, t=text, e=expected: self.check(t, e))

    def command(self, args, wanted, message):
        code, out, err = run(args, cwd=self.dir)
        self.sane(code, out, err)
        self.assertEqual(code, wanted, err)
        self.assertEqual(out, "")
        self.assertRegex(err, message)
    for name, args, code, message in COMMANDS:
        setattr(Command, f"test_{name}", lambda self, a=args, c=code, m=message: command(self, a, c, m))
    if has_replay():
        for name, files, args, stdin, code, message in DATA:
            setattr(Data, f"test_{name}",
                    lambda self, f=files, a=args, s=stdin, c=code, m=message: self.replay(f, a, s, c, m))


fill()

if __name__ == "__main__":
    unittest.main()
