# SPDX-License-Identifier: Apache-2.0
"""A forwarder that writes one partition is silent for hours of event time while others go on, and then sends what it kept,
fast. Time does not wait for it and never goes back: exactly what it kept from before the watermark is late, of that what
lies within `time.lateness` is folded, and nothing of the others, nor of what it sends afterwards, is late. When all were
silent nothing is. What waits meanwhile is bounded."""
import pathlib
import random
import re
import subprocess
import tempfile
import time
import unittest
from datetime import datetime

import kit
import mixed
import rig
from test_brokers import stat

MINUTE, HOUR = 60000, 3600000
REORDER_MIN, LATENESS_H, DEDUPE_H = 10, 1, 2
CONFIG = "learning: 0\nmemory: {limit: 128MiB}\ntime: {reorder: %dm, idle: %dm, lateness: %dh, dedupe: %dh}\n"
PARTITIONS, SILENT = 4, 1
TUPLE = re.compile(rb'"(17\d{11}),')


def times(m):
    return [int(t) for t in TUPLE.findall(m)]


def ms_of(text):
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


class Silent(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        self.addCleanup(self.temp.cleanup)
        self.dir = pathlib.Path(self.temp.name)
        self.broker = rig.MockBroker()
        self.addCleanup(self.broker.close)
        self.broker.tell(f"topic hub {PARTITIONS}")
        self.choice = random.Random(f"{kit.SEED} silent")
        self.minutes = [mixed.minute(k, self.choice) for k in range(6 * 60)]
        self.sent = 0

    def start(self, lateness_h=LATENESS_H):
        d = self.dir
        (d / "segwatch.yaml").write_text(
            f'sources:\n  - {{name: lab, kind: kafka, brokers: ["{self.broker.brokers}"], topic: hub, librdkafka: '
            f'{{fetch.wait.max.ms: "20"}}}}\nalerts: {{file: {d}/alerts.jsonl}}\nstate: {{dir: {d}/state}}\n'
            f"admin: {{socket: {d}/ctl, http: none}}\n"
            + CONFIG % (REORDER_MIN, REORDER_MIN + 1, lateness_h, max(DEDUPE_H, lateness_h)))
        self.run_ = rig.Run(type("Holder", (), {"running": []})(), d)
        self.addCleanup(self.run_.end, 9)

    def send(self, rows, read=True):
        self.broker.produce("hub", rows)
        self.sent += len(rows)
        if read:
            self.read_all()

    def read_all(self):
        n = lambda: int((re.findall(r"event=stats_source .*?msg=\"(\d+) messages", self.run_.log()) or ["0"])[-1])
        self.assertTrue(self.run_.wait(lambda: n() >= self.sent, 30), self.run_.log()[-3000:])

    def stream(self, minutes, without=None, step=30):
        for k in range(minutes[0], minutes[1], step):
            self.send([r for m in self.minutes[k:min(k + step, minutes[1])] for r in m if r[0] != without])

    def kept(self, minutes):
        """What the forwarder of the silent partition sends at once: stamped when it is sent."""
        stamp = self.minutes[minutes[1] - 1][0][1]
        return [(p, stamp, m) for k in range(*minutes) for p, _, m in self.minutes[k] if p == SILENT]

    def settled(self):
        """Watermark, when it and the counts of tuples stand still."""
        seen = [None, time.monotonic()]

        def still():
            now = (self.run_.watermark(), stat(self.run_.log(), "late"))
            if now != seen[0]:
                seen[:] = [now, time.monotonic()]
            return time.monotonic() - seen[1] > 0.7
        self.assertTrue(self.run_.wait(still, 30))
        return ms_of(seen[0][0])

    def counts(self):
        """(tuples, late, too late, old records) of the state that is left."""
        self.assertEqual(self.run_.end(), 0, self.run_.log()[-2000:])
        p = subprocess.run([kit.SEGWATCH, "state", "export", "--canonical", "-c", str(self.dir / "segwatch.yaml")],
                           stdout=subprocess.PIPE, timeout=60, check=True)
        text = p.stdout.decode()
        return tuple(int(re.search(rf"count {name}: (\d+)", text).group(1))
                     for name in ("tuples", "tuples_late", "tuples_too_late", "records_old"))

    def expect(self, rows, watermark, lateness_h=LATENESS_H):
        """(late, too late, old records) of what comes at that watermark."""
        late = too_late = old = 0
        for _, _, m in rows:
            if rig_time(m) < watermark - max(DEDUPE_H, lateness_h) * HOUR:
                old += 1
                continue
            late += sum(t <= watermark for t in times(m))
            too_late += sum(t < watermark - lateness_h * HOUR for t in times(m))
        return late, too_late, old

    def peak_mib(self):
        text = pathlib.Path(f"/proc/{self.run_.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) / 1024

    def silence(self, lateness_h):
        """One hour of all, three without one, what it kept, one more of all."""
        self.start(lateness_h)
        self.stream((0, 60))
        self.stream((60, 240), without=SILENT)
        watermark = self.settled()
        self.assertGreaterEqual(watermark, self.minutes[239][0][1] - 90000 - REORDER_MIN * MINUTE, "time waited for it")
        kept = self.kept((60, 240))
        self.send(kept)
        self.assertEqual(self.settled(), watermark, "time went on or back by what is old")
        self.stream((240, 300))
        self.settled()
        peak = self.peak_mib()
        tuples, late, too_late, old = self.counts()
        expected = self.expect(kept, watermark, lateness_h)
        kit.say(self._testMethodName, f"{tuples} tuples, {len(kept)} messages kept back: {late} late of which {too_late} too late, "
                f"{old} records beyond time.dedupe; expected {expected}; peak {peak:.0f} MiB")
        self.assertEqual((late, too_late, old), expected)
        self.assertEqual(tuples, sum(len(times(m)) for k in range(300) for _, _, m in self.minutes[k]), "all are counted")
        self.assertLess(peak, 128 + 64)
        return late, too_late, old

    def test_what_was_kept_back_is_late_and_nothing_else(self):
        late, too_late, old = self.silence(LATENESS_H)
        self.assertGreater(min(late - too_late, too_late, old), 100, "each kind is there")
        health = [l for l in (self.dir / "alerts.jsonl").read_text().splitlines() if '"kind":"health"' in l]
        self.assertTrue(any("MIXED" in l or "mixed" in l for l in health), "the flow log is named: " + "\n".join(health))

    def test_a_longer_lateness_folds_all_of_it(self):
        late, too_late, old = self.silence(4)
        self.assertGreater(late, 1000)
        self.assertEqual((too_late, old), (0, 0))

    def test_others_wait_while_it_catches_up(self):
        """What it kept and what others write meanwhile are there at the same time: the others are not late for it, and time
        does not go on while it is read, but for the 5 min that may be served before it is seen."""
        self.start()
        self.stream((0, 60))
        self.stream((60, 240), without=SILENT)
        watermark = self.settled()
        kept = self.kept((60, 240))
        self.run_.process.send_signal(19)
        self.send(kept, read=False)
        self.send([r for m in self.minutes[240:300] for r in m], read=False)
        self.run_.process.send_signal(18)
        self.read_all()
        self.settled()
        _, late, too_late, old = self.counts()
        may_be = [self.expect(kept, watermark + s * 1000) for s in range(0, 301, 5)]
        kit.say("silent, others meanwhile", f"{late} late, {too_late} too late, {old} old; at least {may_be[0]}")
        for i, n in enumerate((late, too_late, old)):
            self.assertGreaterEqual(n, min(m[i] for m in may_be))
            self.assertLessEqual(n, max(m[i] for m in may_be))

    def test_when_all_were_silent_nothing_is_late(self):
        self.start()
        self.stream((0, 60))
        self.settled()
        self.run_.process.send_signal(19)
        rows = [r for m in self.minutes[60:240] for r in m]
        for p in self.choice.sample(range(PARTITIONS), PARTITIONS):
            self.send([r for r in rows if r[0] == p], read=False)
        self.run_.process.send_signal(18)
        self.read_all()
        self.settled()
        tuples, late, too_late, old = self.counts()
        kit.say("all silent", f"{tuples} tuples, {late} late")
        self.assertEqual((late, too_late, old), (0, 0, 0))
        self.assertEqual(tuples, sum(len(times(m)) for k in range(240) for _, _, m in self.minutes[k]))

    def test_a_wrong_expectation_is_seen(self):
        """The counts are not what they would be for another watermark or another lateness."""
        rows = self.kept((60, 240))
        w = self.minutes[239][0][1] - 90000 - REORDER_MIN * MINUTE
        right = self.expect(rows, w)
        self.assertGreater(min(right), 0)
        self.assertNotEqual(right, self.expect(rows, w + MINUTE))
        self.assertNotEqual(right, self.expect(rows, w, 2))


def rig_time(m):
    return ms_of(re.search(rb'"time":"([^"]*)"', m).group(1).decode())


if __name__ == "__main__":
    unittest.main()
