# SPDX-License-Identifier: Apache-2.0
"""Messages made to hurt: each costs little more than as many valid bytes, and what follows it is read."""
import gzip
import json
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import zlib

import kit
import rig

MIB = 1 << 20
MAX_BESIDE = 64 * MIB  # of memory, beside the message itself
RECORD_MAX = 64 * MIB  # what a file may hold as one record: it has to be kept until it ends
MAX_RATIO = 20         # of time, against as many valid bytes
MAC, LATER_MAC = "000D3AF87856", "000D3AF87857"


def record(tuples, mac=MAC, rule="DefaultRule_AllowVnetInBound", more=""):
    return ('{"time":"2026-03-02T08:00:00.0000000Z","flowLogGUID":"a","flowLogVersion":4,"flowLogResourceID":"/x/y",'
            f'"macAddress":"{mac}","category":"FlowLogFlowEvent","targetResourceID":"/t","operationName":"o",{more}'
            '"flowRecords":{"flows":[{"aclID":"acl","flowGroups":[{"rule":"' + rule + '","flowTuples":[' +
            ",".join(tuples) + "]}]}]}}").encode()


def tuples(n, start=0):
    return [f'"{1772438400000 + i % 60000},10.1.{i >> 16 & 255}.{i >> 8 & 255},10.2.0.{1 + i % 250},{1024 + i % 60000},443,6,O,B,NX,0,0,0,0"'
            for i in range(start, start + n)]


def message(*records):
    return b'{"records":[' + b",".join(records) + b"]}"


VALID = message(record(tuples(60)))
AFTER = message(record(['"1772438460000,10.9.9.9,10.2.0.1,5555,443,6,O,B,NX,0,0,0,0"'], LATER_MAC))


def padded(size):
    """Valid messages of about that many bytes."""
    out, i, n = [], 0, 0
    while n < size:
        m = message(record(tuples(60, i)))
        out.append(m)
        n += len(m) + 1
        i += 60
    return b"\n".join(out)


def bombs(n=MIB):
    """name: bytes, about n of them."""
    inner = b'{"records":[%s]}'
    return {
        "a MiB of [": b"[" * n,
        "a MiB of {": b'{"a":' * (n // 5),
        "deep inside a record": inner % record([], more='"x":' + "[" * 100000 + "]" * 100000 + ","),
        "zeros in an array": inner % (b"0," * (n // 2) + b"0"),
        "empty objects": inner % (b"{}," * (n // 3) + b"{}"),
        "empty keys": inner % (b"{" + b'"":0,' * (n // 5) + b'"":0}'),
        "empty flows": inner % record([]).replace(b'"flows":[{', b'"flows":[' + b"{}," * (n // 3) + b"{"),
        "empty tuples": inner % record(['""'] * (n // 3)),
        "tuples of commas": inner % record(['",,,,,,,,,,,,"'] * (n // 15)),
        "a long rule": inner % record(tuples(1), rule="r" * n),
        "a long tuple": inner % record(['"' + "1" * n + '"']),
        "a long key": inner % record(tuples(1), more='"' + "k" * n + '":1,'),
        "a long number": inner % record(tuples(1), more='"x":' + "9" * n + ","),
        "a huge exponent": inner % record(tuples(1), more='"x":1e999999999,'),
        "escapes": inner % record(tuples(1), rule="\\u0000\\ud800" * (n // 12)),
        "NUL bytes": inner % record(tuples(1), rule="\0" * 1000) + b"\0" * n,
        "bad UTF-8": inner % record(tuples(1)).replace(b"acl", b"\xff\xc0\x80\xed\xa0\x80" * (n // 6)),
        "many rules": b'{"records":[' + b",".join(
            record(tuples(1), rule=f"rule-{i}") for i in range(n // 400)) + b"]}",
        "many records without end": b'{"records":[' + b'{"time":"2026-03-02T08:00:00Z","category":' * (n // 43),
        "white space": b" \n\t" * (n // 3),
        "a gzip bomb": gzip.compress(b"[" * (512 * MIB)) if kit.SOAK else gzip.compress(b"[" * (128 * MIB)),
        "a gzip bomb of records": gzip.compress(inner % record(['""'] * (20 * MIB))),
        "gzip in gzip": gzip.compress(gzip.compress(b"0" * (64 * MIB))),
        "gzip cut off": gzip.compress(padded(n))[:-20],
        "gzip of noise": b"\x1f\x8b\x08\0\0\0\0\0\0\3" + bytes(zlib.crc32(b"%d" % i) & 255 for i in range(n // 4)),
    }


# In a small process of its own: a child starts with the peak of the one that forked it.
TIMER = """import json, resource, subprocess, sys
p = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([p.returncode, u.ru_utime + u.ru_stime, u.ru_maxrss * 1024, p.stderr.decode(errors="replace")[-1000:]]))"""


def measured(data, folder, *more):
    """(CPU seconds, peak memory, summary) of a replay of these bytes with AFTER behind them."""
    path = pathlib.Path(folder, "in.json")
    path.write_bytes(data)
    after = pathlib.Path(folder, "later.json")
    after.write_bytes(AFTER)
    summary = pathlib.Path(folder, "summary")
    out = subprocess.run(["/usr/bin/python3", "-c", TIMER, kit.SEGWATCH, "replay", "-q", "-j", "1", "--summary",
                          str(summary), *more, str(path), str(after)], stdout=subprocess.PIPE, check=True, timeout=120)
    code, seconds, peak, err = json.loads(out.stdout)
    if code not in (0, 1):
        raise AssertionError(f"exit {code}: {err}")
    return seconds, peak, json.loads(summary.read_text())


class Bombs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.bombs = bombs()
        cls.inflated = {"a gzip bomb": (512 if kit.SOAK else 128) * MIB, "a gzip bomb of records": 60 * MIB, "gzip cut off": MIB}
        cls.idle = min(measured(b"", cls.folder.name)[0] for _ in range(3))
        data = padded(16 * MIB)
        cls.per_byte = max(min(measured(data, cls.folder.name)[0] for _ in range(2)) - cls.idle, 0.01) / len(data)

    def cost_of_valid(self, n):
        """Seconds that valid messages of n bytes take, measured on at least 8 MiB of them."""
        return self.per_byte * n

    def check(self, name, data):
        seconds, peak, s = measured(data, self.folder.name)
        base = measured(b"", self.folder.name)[1]
        seconds = max(seconds - self.idle, 0)
        n = self.inflated.get(name, len(data))  # a file is read to its end, however long: the inflated bytes count
        allowed = MAX_RATIO * self.cost_of_valid(n) + 0.02  # what two clock ticks cannot tell apart
        with self.subTest(name):
            self.assertLessEqual(seconds, allowed, f"{name}: {len(data)} bytes")
            self.assertLessEqual(peak - base - min(n, RECORD_MAX), MAX_BESIDE, f"{name}: {len(data)} bytes")
            self.assertGreaterEqual(s["records"], 1, "what follows is read")
        return seconds / allowed * MAX_RATIO, (peak - base - min(n, RECORD_MAX)) / MIB

    def test_replay_takes_little_for_each(self):
        worst = [(0, ""), (0, "")]
        for name, data in self.bombs.items():
            ratio, extra = self.check(name, data)
            worst = [max(worst[0], (round(ratio, 1), name)), max(worst[1], (round(extra, 1), name))]
        kit.say("bombs in replay", f"{len(self.bombs)} bombs, at most {worst[0][0]} times the time of valid bytes "
                f"({worst[0][1]}), {worst[1][0]} MiB beside the message ({worst[1][1]})")

    def test_a_million_tuples_in_one_record_of_a_file(self):
        data = message(record(tuples(1000000)))
        seconds, peak, s = measured(data, self.folder.name, "-c", "/dev/null")
        self.assertEqual(s["tuples"], 1000001)
        self.assertLessEqual(peak, len(data) + 512 * MIB + MAX_BESIDE, "the message, memory.limit, and what is beside")
        kit.say("a million tuples", f"{len(data) / MIB:.0f} MiB in {seconds:.2f} s, peak {peak / MIB:.0f} MiB")
        self.assertLessEqual(seconds - self.idle, MAX_RATIO * self.cost_of_valid(len(data)))

    def test_a_heavy_message_is_seen(self):
        """The check can fail: memory and time of as many valid bytes times a hundred are too much."""
        data = padded(64 * MIB)
        seconds, peak, _ = measured(data, self.folder.name)
        self.assertGreater(seconds - self.idle, MAX_RATIO * self.cost_of_valid(len(data) // 100))


class Daemon(unittest.TestCase):
    """The same through Kafka: every bomb is put aside or read, and the partition goes on at once."""

    def test_every_bomb_and_what_follows_it(self):
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as d:
            folder = pathlib.Path(d)
            broker = rig.MockBroker()
            self.addCleanup(broker.close)
            broker.tell("topic hub 1")
            (folder / "segwatch.yaml").write_text(
                f'sources:\n  - {{name: lab, kind: kafka, brokers: ["{broker.brokers}"], topic: hub, librdkafka: '
                '{fetch.wait.max.ms: "20", fetch.message.max.bytes: "8000000"}}\n'
                f"alerts: {{file: {folder}/alerts.jsonl}}\nstate: {{dir: {folder}/state}}\ntime: {{reorder: 0, idle: 1s}}\n")
            holder = type("Holder", (), {"running": []})()
            run = rig.Run(holder, folder)
            self.addCleanup(run.end, 9)

            def stats():
                m = re.findall(r"(\d+) messages .*?, (\d+) records .*?(\d+) bad messages", run.log())
                return tuple(map(int, m[-1])) if m else (0, 0, 0)

            def peak():
                text = pathlib.Path(f"/proc/{run.process.pid}/status").read_text()
                return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) * 1024

            now = int(time.time() * 1000)
            broker.produce("hub", [(0, now, VALID)] * 3)
            self.assertTrue(run.wait(lambda: stats()[0] == 3, 20), run.log()[-2000:])
            base, slowest, n = peak(), (0, ""), 3
            size = kit.size(MIB // 8, MIB)  # the mock cluster takes a second for what does not fit into a socket
            for i, (name, data) in enumerate(bombs(size).items()):
                if len(data) > 4 * MIB:
                    continue
                later = AFTER.replace(LATER_MAC.encode(), b"00000000%04X" % i)
                before = stats()
                began = time.monotonic()
                broker.produce("hub", [(0, now, data), (0, now, later)])
                n += 2
                with self.subTest(name):
                    self.assertTrue(run.wait(lambda: stats()[0] >= n and stats()[1] > before[1], 20),
                                    f"{name}: {before} {stats()}" + run.log()[-2000:])
                slowest = max(slowest, (round(time.monotonic() - began, 2), name))
            kit.say("bombs through Kafka", f"{(n - 3) // 2} bombs, {stats()[2]} put aside, peak {peak() / MIB:.0f} MiB "
                    f"({base / MIB:.0f} before), slowest with its successor {slowest[0]} s ({slowest[1]})")
            self.assertGreater(stats()[2], 5)
            self.assertLessEqual(peak() - base, MAX_BESIDE + 8 * 4 * MIB)  # at most the queue of whole messages
            self.assertEqual(run.end(), 0)


if __name__ == "__main__":
    unittest.main()
