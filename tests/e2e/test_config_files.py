#!/usr/bin/env python3
"""The shipped configuration, the generated sample and schema, the dump, drop-in files."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.path.abspath(os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch")))
SCHEMA = ROOT / "config/segwatch-config.schema.json"

# JSON is YAML, so the same text goes to the program and to the schema.
FULL = {
    "sources": [
        {"name": "weu", "kind": "eventhubs", "connection_string": {"credential": "eventhub"}, "topic": "flowlogs",
         "group": "soc", "ca_file": "/etc/ca.pem", "brokers": ["127.0.0.1:9093", "[::1]:9093"],
         "start": "2026-05-01T00:00:00Z"},
        {"name": "lab", "kind": "kafka", "brokers": "127.0.0.1:9092", "topic": "t", "start": "latest",
         "librdkafka": {"fetch.wait.max.ms": "50", "client.rack": "a: b # \"c\""}},
        {"name": "token", "kind": "eventhubs", "brokers": ["ns.servicebus.windows.net:9093"], "topic": "flowlogs",
         "auth": {"managed_identity": {"client_id": "c"}}},
        {"name": "spool", "kind": "file", "path": "/var/spool/flow logs", "follow": True},
    ],
    "segments": [
        {"name": "web", "cidrs": ["10.1.0.0/24", "fd00:1::/64", "10.1.9.9"], "role": "app", "criticality": 2},
        {"name": "db", "cidrs": "10.1.2.0/24", "role": "data", "criticality": 4, "isolate": True},
        {"name": "b-db", "cidrs": ["10.1.2.0/24"], "realm": "b"},
    ],
    "policy": [
        {"from": "web", "to": "db", "services": ["1433/tcp", "1000-2000/udp", 443, "ssh"], "require_encryption": True},
        {"from": "any", "to": "internet", "services": "https"}, {"from": "unassigned", "to": "web"},
    ],
    "realms": [{"name": "b", "flow_logs": ["/subscriptions/b"]}],
    "hosts": {"scanner": ["10.9.0.5"], "dc": "fd00::1", "jump": ["10.9.1.0/24"]},
    "input": {"message_max": "1MiB"},
    "time": {"reorder": "90s", "lateness": "2h", "dedupe": "1d", "idle": "10m"},
    "incidents": {"min_severity": "low"}, "learning": 0, "memory": {"limit": 134217728},
    "state": {"dir": "/tmp/s"},
    "alerts": {"file": "/tmp/a.jsonl", "rotate": {"size": 0, "keep": 3}, "signals": False, "quarantine": "/tmp/q.jsonl"},
    "detectors": {"horizontal_scan": {"mode": "alert"}, "pivot_chain": {"mode": "off"}},
    "log": {"level": "debug", "format": "json"},
    "outputs": [
        {"name": "sentinel", "kind": "sentinel", "endpoint": "https://a.westeurope-1.ingest.monitor.azure.com",
         "dcr": "dcr-1", "auth": {"managed_identity": {}, "cloud": "usgov"}, "min_severity": "medium",
         "detectors": ["segment_policy"], "queue": "1GiB", "retry": {"first": "2s", "max": "1m"}},
        {"name": "app", "kind": "sentinel", "endpoint": "https://b.ingest.monitor.azure.com", "dcr": "dcr-2",
         "auth": {"tenant": "t", "client_id": "c", "client_secret": {"credential": "sentinel"}}},
        {"name": "user", "kind": "sentinel", "endpoint": "https://b.ingest.monitor.azure.com", "dcr": "dcr-2",
         "auth": {"managed_identity": {"via": "arc", "client_id": "c: \"1\""}}},
        {"name": "siem", "kind": "syslog", "address": "[fd00::1]:6514", "format": "json", "facility": "local0"},
        {"name": "hook", "kind": "webhook", "url": "https://h/x", "single": True, "per_minute": 60,
         "fields": {"text": "{severity}: {message}"}},
    ],
}

# path into FULL, a value that neither the schema nor the program may take
WRONG = [
    (("learning",), "7"), (("learning",), 7), (("learning",), "7w"), (("learning",), []),
    (("memory", "limit"), "12MB"), (("memory", "limit"), -1), (("alerts", "signals"), "yes"),
    (("alerts", "rotate", "keep"), 0), (("alerts", "rotate", "keep"), 1001), (("log", "level"), "loud"),
    (("log", "colour"), "red"), (("sources", 0, "kind"), "amqp"), (("sources", 0, "connection_string"), "Endpoint=x"),
    (("sources", 0, "connection_string"), {"file": "/x", "credential": "y"}), (("sources", 0), {"name": "x"}),
    (("segments", 0, "criticality"), 5), (("segments", 0), {"name": "x"}), (("policy", 0), {"from": "web"}),
    (("hosts", "scaner"), ["10.0.0.1"]), (("detectors", "horizontal_scan", "mode"), "on"),
    (("detectors", "nonsense"), {}), (("segments",), {}), (("time",), []), (("sources", 3, "follow"), "true"),
    (("outputs", 0, "kind"), "splunk"), (("outputs", 0, "auth", "managed_identity", "via"), "magic"),
    (("outputs", 0, "auth", "client_secret"), "s3cret"), (("outputs", 0, "retry", "first"), "1"),
    (("outputs", 0, "queue"), "10MB"), (("outputs", 4, "per_minute"), 0), (("outputs", 3, "facility"), "kern"),
]


def run(*args):
    env = dict(os.environ)
    env.pop("CREDENTIALS_DIRECTORY", None)
    p = subprocess.run([PROGRAM] + [str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                       text=True, env=env)
    return p.returncode, p.stdout, p.stderr


def changed(path, value):
    conf = json.loads(json.dumps(FULL))
    at = conf
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return conf


class ConfigFiles(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def file(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def ok(self, path, *args):
        code, out, err = run("check", "-c", path, *args)
        self.assertEqual(code, 0, err)
        self.assertIn(f"{path}: ok:", err)
        return out, err

    def test_shipped_configuration_is_valid(self):
        _, err = self.ok(ROOT / "config/segwatch.yaml")
        self.assertIn("1 source, 0 outputs, 0 segments", err)
        # commented examples in it are valid as well
        text = re.sub(r"^#(  +(- \{|\w+: ))", r"\1", (ROOT / "config/segwatch.yaml").read_text(), flags=re.M)
        _, err = self.ok(self.file("segwatch.yaml", text))
        self.assertIn("1 source, 2 outputs, 3 segments, 2 policy rows, 0 realms, 2 host roles", err)

    def test_sample_gives_the_defaults(self):
        code, sample, _ = run("check", "--sample")
        self.assertEqual(code, 0)
        from_sample, _ = self.ok(self.file("sample.yaml", sample), "--dump")
        from_nothing, _ = self.ok(self.file("empty.yaml", ""), "--dump")
        self.assertEqual(from_sample, from_nothing)
        for word in ("sources:", "reorder: 2m", "limit: 512MiB", "horizontal_scan:", "# "):
            self.assertIn(word, sample)
        self.assertLessEqual(max(map(len, sample.splitlines())), 120)

    def test_items_of_the_sample_are_valid_without_their_hash(self):
        _, sample, _ = run("check", "--sample")
        lines = [l for l in sample.splitlines() if not re.match(r"(sources|segments|policy|realms|outputs): \[\]", l)]
        text = "\n".join(l[1:] if re.match(r"#    |#  - ", l) else l for l in lines)
        for key, first in (("sources", "  - name: weu"), ("segments", "  - name: web"), ("policy", "  - from: web"),
                           ("realms", "  - name: tenant-b"), ("outputs", "  - name: sentinel")):
            text = text.replace(first, f"{key}:\n{first}", 1)
        text = re.sub(r"^    (path|follow|role|ca_file|brokers|address|hostname|client_certificate|url|signature|bearer|fields|password): .*\n", "", text, flags=re.M)
        sources, outputs = text.split("outputs:\n", 1)
        text = sources + "outputs:\n" + re.sub(r"^    (topic|connection_string|librdkafka): .*\n", "", outputs, flags=re.M)
        text = re.sub(r"^    auth: .*\n", "", text, count=1, flags=re.M)  # of the source, which has a connection string
        text = text.replace("    to: db", "    to: internet")
        _, err = self.ok(self.file("items.yaml", text))
        self.assertIn("1 source, 1 output, 1 segment, 1 policy row, 1 realm", err)

    def test_committed_schema_is_the_generated_one(self):
        code, schema, _ = run("check", "--schema")
        self.assertEqual(code, 0)
        self.assertEqual(schema, SCHEMA.read_text(), "run: segwatch check --schema > config/segwatch-config.schema.json")
        jsonschema.Draft202012Validator.check_schema(json.loads(schema))

    def test_schema_and_program_take_the_same(self):
        validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
        self.assertEqual(list(validator.iter_errors(FULL)), [])
        self.ok(self.file("full.json", FULL))
        for path, value in WRONG:
            with self.subTest(path=path, value=value):
                conf = changed(path, value)
                self.assertTrue(list(validator.iter_errors(conf)))
                code, out, err = run("check", "-c", self.file("wrong.json", conf))
                self.assertEqual((code, out), (78, ""), err)

    def test_dump_reads_back_to_itself(self):
        dump, _ = self.ok(self.file("full.json", FULL), "--dump")
        again, _ = self.ok(self.file("dump.yaml", dump), "--dump")
        self.assertEqual(dump, again)
        for line in ("connection_string: {credential: eventhub}", "reorder: 90s", "limit: 128MiB", "learning: 0",
                     'services: [1433/tcp, 1000-2000/udp, 443, 22/tcp]', "isolate: true", "    realm: b",
                     "hosts: {scanner: [10.9.0.5], jump: [10.9.1.0/24], dc: [\"fd00::1\"]}", "level: debug",
                     "managed_identity: {via: imds}", "client_secret: {credential: sentinel}"):
            self.assertIn(line, dump)

    def test_idle_follows_reorder(self):
        dump, _ = self.ok(self.file("a.yaml", "time: {reorder: 10m}\n"), "--dump")
        self.assertIn("idle: 11m", dump)
        dump, _ = self.ok(self.file("a.yaml", "time: {reorder: 0, idle: 5s}\n"), "--dump")
        self.assertIn("idle: 5s", dump)

    def test_quarantine_lies_beside_the_alerts(self):
        dump, _ = self.ok(self.file("a.yaml", "alerts: {file: /x/y/a.jsonl}\n"), "--dump")
        self.assertIn("quarantine: /x/y/quarantine.jsonl", dump)

    def test_drop_in_files_add_up(self):
        main = self.file("segwatch.yaml", "segments: [{name: a, cidrs: [10.1.0.0/16]}]\npolicy: [{from: b, to: a}]\n"
                         "include: [conf.d/*.yaml, 'more/*.yaml', conf.d/10-b.yaml]\n")
        self.file("conf.d/20-c.yaml", "segments: [{name: c, cidrs: [10.3.0.0/16]}]\nhosts: {dc: 10.1.0.1}\n")
        self.file("conf.d/10-b.yaml", "segments: [{name: b, cidrs: [10.2.0.0/16]}]\npolicy: [{from: a, to: b}]\n"
                  "hosts: {dc: 10.1.0.2}\nsources: [{name: s, kind: file, path: /x}]\n")
        self.file("conf.d/ignored.txt", "nonsense")
        dump, err = self.ok(main, "--dump")
        self.assertIn("1 source, 0 outputs, 3 segments, 2 policy rows, 0 realms, 2 host roles", err)
        self.assertIn("3 files", err)
        self.assertLess(dump.index("name: b"), dump.index("name: c"))
        self.assertIn("hosts: {dc: [10.1.0.2, 10.1.0.1]}", dump)

    def test_wide_public_ranges_are_warned_about(self):
        _, err = self.ok(self.file("a.yaml", "segments: [{name: a, cidrs: [0.0.0.0/0]}]\npolicy: [{from: any, to: any}]\n"))
        self.assertIn("a.yaml:1:30: warning: 0.0.0.0/0 covers much of the Internet", err)
        self.assertIn("a.yaml:2:10: warning: this row allows everything", err)

    def test_ten_thousand_segments(self):
        lines = [f"- {{name: s{i}, cidrs: [10.{i // 256}.{i % 256}.0/24, \"fd00:{i:x}::/64\"]}}" for i in range(10000)]
        _, err = self.ok(self.file("a.yaml", "segments:\n" + "\n".join(lines) + "\n"))
        self.assertIn("10000 segments", err)


if __name__ == "__main__":
    unittest.main()
