#!/usr/bin/env python3
"""Names every include that breaks the order of rooms (ARCHITECTURE.md, "Rooms"). Exit 1 if there is one.

The order of lib/ stands once, in lib/meson.build; this reads it from there. Run from anywhere."""
import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Outside headers that only these files may include. Anything that smells of I/O, clock or thread is barred from lib/.
OUTSIDE = {
    "cjson/cJSON.h": ["lib/decode/"],
    "stdatomic.h": ["lib/base/guard.c", "daemon/"],
    "xxhash.h": ["lib/base/hash.c"],
    "openssl/": ["lib/base/hash.c", "daemon/"],
    "yaml.h": ["lib/config/parse.c"],
    "zlib.h": ["lib/decode/"],
    "libdeflate.h": ["lib/decode/", "daemon/sink/"],
    "librdkafka/rdkafka.h": ["daemon/net/kafka_setting.c", "daemon/source/source_kafka", "daemon/sink/sink_kafka",
                             "daemon/cmd/", "daemon/demo/"],
    "librdkafka/rdkafka_mock.h": ["daemon/cmd/cmd_demo.c", "daemon/demo/"],
    "systemd/": ["daemon/service.c"],
    "sqlite3.h": ["daemon/state/"],
    "curl/curl.h": ["daemon/net/http.c"],
}
BARRED_IN_LIB = {"uv.h", "time.h", "sys/time.h", "pthread.h", "threads.h", "unistd.h", "fcntl.h", "sys/socket.h",
                 "sys/stat.h", "signal.h", "poll.h", "dirent.h", "syslog.h"}
LEAVES = ["source", "sink", "state", "admin"]  # of daemon/: may use these rooms of lib/ and never one another
OPEN = {"state/outbox.h"}  # the one door between them: sinks read what the release log keeps for them
LEAF_ROOMS = {"base", "model", "config", "decode", "encode", "deliver", "metrics"}


def rooms():
    text = (ROOT / "lib/meson.build").read_text()
    body = text[text.index("rooms = [") + len("rooms = "):text.index("\n]\n") + 2]
    body = re.sub(r"#.*", "", body)
    body = re.sub(r"\bdep_\w+\b", "None", body)
    return {row[0]: set(row[1]) for row in ast.literal_eval(body)}


def main():
    below = rooms()
    bad = []
    for room, allowed in below.items():
        earlier = list(below)[:list(below).index(room)]
        bad += [f"lib/meson.build: room {room} lists {b}, which does not stand before it" for b in allowed
                if b not in earlier]
    for path in sorted(list(ROOT.glob("lib/**/*.[ch]")) + list(ROOT.glob("daemon/**/*.[ch]"))):
        name = path.relative_to(ROOT).as_posix()
        parts = name.split("/")
        for number, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not m:
                continue
            header = m.group(2)
            where = f"{name}:{number}: includes {header}"
            for prefix, homes in OUTSIDE.items():
                if header.startswith(prefix) and not any(name.startswith(h) for h in homes):
                    bad.append(f"{where}, allowed only in {', '.join(homes)}")
            target = header.split("/")[0] if "/" in header else None
            if parts[0] == "lib":
                if m.group(1) == "<" and header in BARRED_IN_LIB:
                    bad.append(f"{where}: lib/ has no clock, file, socket or thread")
                if m.group(1) == '"':
                    if target not in below:
                        bad.append(f'{where}: write "room/file.h"')
                    elif target != parts[1] and target not in below[parts[1]]:
                        bad.append(f"{where}: room {parts[1]} may not use {target}")
                    if re.match(r"det_", path.name) and re.search(r"/det_", header):
                        bad.append(f"{where}: a detector never includes another")
            elif len(parts) > 2 and parts[1] in LEAVES and m.group(1) == '"':
                if target in below and target not in LEAF_ROOMS:
                    bad.append(f"{where}: {parts[1]} may use {', '.join(sorted(LEAF_ROOMS))} of lib/")
                if target in LEAVES and target != parts[1] and header not in OPEN:
                    bad.append(f"{where}: pipeline.c joins {parts[1]} and {target}, not they")
    print("\n".join(bad) if bad else "layers: the order of rooms holds")
    return 1 if bad else 0


sys.exit(main())
