# SPDX-License-Identifier: Apache-2.0
"""What brokers do to a consumer: they go away, answer slowly or with errors, hand partitions to others, forget what was
not read yet, come back with another topic of the same name. Nothing is lost, doubled or late that need not be, gaps are
told exactly, and the log stays readable."""
import collections
import pathlib
import random
import re
import subprocess
import tempfile
import threading
import time
import unittest
from datetime import datetime

import kit
import rig

# numbers of the Kafka protocol
FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 1, 2, 3, 8, 9, 10
FAULTS = {FETCH: [2, 3, 5, 6, 7, 56], LIST_OFFSETS: [3, 5, 6, 7], METADATA: [5, 7], OFFSET_COMMIT: [7, 14, 15, 16],
          OFFSET_FETCH: [14, 16], FIND_COORDINATOR: [15]}
N_BROKERS = 3
# Event time runs hundreds of times faster than the clock here, so order must outlast an outage of seconds.
CONFIG = """time: {reorder: 50m, idle: 51m, lateness: 2h}
detectors:
  horizontal_scan: {mode: alert}
  vertical_scan: {mode: alert}
  denied_scan: {mode: alert}
  admin_fanout: {mode: alert}
  new_admin_edge: {mode: alert}
  pivot_chain: {mode: alert}
incidents: {min_severity: low, max_per_hour: 0}
"""


class BrokerRig(rig.Rig):
    N_BROKERS = N_BROKERS
    PARTITIONS = 4


class Nemesis:
    """Events of a seed."""

    def __init__(self, broker, run, seed):
        self.broker, self.run, self.choice = broker, run, random.Random(f"{seed} brokers")
        self.kinds = collections.Counter()

    def nap(self, low, high):
        time.sleep(self.choice.uniform(low, high))

    def away(self):
        b = self.choice.randint(1, N_BROKERS)
        self.broker.tell(f"down {b}")
        self.nap(0.1, 1)
        self.broker.tell(f"up {b}")

    def all_away(self):
        for b in range(1, N_BROKERS + 1):
            self.broker.tell(f"down {b}")
        self.nap(0.2, 1.5)
        for b in range(1, N_BROKERS + 1):
            self.broker.tell(f"up {b}")

    def slow(self):
        b = self.choice.randint(1, N_BROKERS)
        self.broker.tell(f"rtt {b} {self.choice.randint(50, 1100)}")
        self.nap(0.2, 1)
        self.broker.tell(f"rtt {b} 0")

    def errors(self):
        api = self.choice.choice(list(FAULTS))
        self.broker.tell(f"errors {api} {self.choice.choice(FAULTS[api])} {self.choice.randint(1, 6)}")

    def leader(self):
        self.broker.tell(f"leader hub {self.choice.randrange(BrokerRig.PARTITIONS)} {self.choice.randint(1, N_BROKERS)}")

    def topic(self):
        self.broker.tell(f"topic_error hub {self.choice.choice([3, 5, 29])}")
        self.nap(0.2, 0.8)
        self.broker.tell("topic_error hub 0")

    def pause(self):
        self.run.process.send_signal(19)
        self.nap(0.1, 0.8)
        self.run.process.send_signal(18)

    def next(self):
        """(kind, whether it must not meet a producer, who would lose messages by it)."""
        kind = self.choice.choice(["away", "all_away", "slow", "errors", "errors", "leader", "leader", "topic", "pause"])
        self.kinds[kind] += 1
        return getattr(self, kind), kind in ("topic", "errors")


def stamp(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def noisy(log):
    """Pairs of warnings or errors of one cause within less than 9.5 s."""
    last, bad = {}, []
    for m in re.finditer(r"^time=(\S+) level=(warning|error) event=(\S+)(?: subject=(\S+))?(.*)$", log, re.M):
        key, at = (m.group(3), m.group(4)), stamp(m.group(1))
        if re.search(r'msg="repeated \d+ times"', m.group(5)):
            continue  # what was held back, told at the end
        if key in last and at - last[key] < 9.5:
            bad.append(m.group(0))
        last[key] = at
    return bad


def stat(log, what):
    found = re.findall(rf"event=stats .*?, (\d+) {what}", log)
    return int(found[-1]) if found else None


class Events(unittest.TestCase):
    def test_events_under_load(self):
        n_events = kit.size(30, 200)
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder:
            r = BrokerRig(folder, CONFIG, seed=9, hours=4, hosts=60, load=5, attack="full")
            self.addCleanup(r.close)
            broker = rig.MockBroker(N_BROKERS)  # a second cluster, filled while it suffers
            self.addCleanup(broker.close)
            broker.tell(f"topic hub {r.PARTITIONS}")
            d = r.folder("events")
            text = (d / "segwatch.yaml").read_text()
            (d / "segwatch.yaml").write_text(re.sub(r"brokers: \[[^]]*\]", 'brokers: ["' + broker.brokers.replace(",", '", "') + '"]', text))
            run = r.start(d)
            nemesis = Nemesis(broker, run, kit.SEED)
            rows = rig.rows_of(r.messages, r.PARTITIONS)
            portion = (len(rows) + n_events - 1) // n_events
            read = lambda: int((re.findall(r"(\d+) messages", run.log()) or ["0"])[-1])
            began = time.monotonic()
            for i in range(n_events):
                # not much event time may wait for a partition that is away
                self.assertTrue(run.wait(lambda: read() >= min((i - 1) * portion, len(rows)), 30), run.log()[-3000:])
                what, alone = nemesis.next()
                fault = threading.Thread(target=what)
                if alone:
                    broker.produce("hub", rows[i * portion:(i + 1) * portion])
                fault.start()
                if not alone:
                    broker.produce("hub", rows[i * portion:(i + 1) * portion])
                fault.join()
                self.assertIsNone(run.process.poll(), run.log()[-3000:])
            quiet = time.monotonic()
            self.assertTrue(run.wait(lambda: r.is_done(run), 60), run.log()[-4000:])
            resumed = time.monotonic() - quiet
            self.assertEqual(run.end(), 0)
            log = run.log()
            late = stat(log, "late")
            kit.say("brokers", f"{n_events} events {dict(nemesis.kinds)} in {quiet - began:.0f} s, all read {resumed:.1f} s "
                    f"after the last, {len(r.expected)} lines, {late} late, {len(re.findall('level=(?:warning|error)', log))} "
                    "warnings and errors in the log")
            self.assertIsNone(rig.compare(r.expected, r.alerts(d)))
            self.assertLessEqual(resumed, 15)
            self.assertNotIn("event=kafka_gap", log)
            self.assertNotIn("event=kafka_recreated", log)
            self.assertEqual(noisy(log), [])

    def test_noise_in_the_log_is_seen(self):
        line = 'time=2026-01-01T00:00:0{}.000Z level=error event=kafka_connect subject=lab msg="x"\n'
        self.assertEqual(len(noisy(line.format(1) + line.format(5))), 1)
        self.assertEqual(noisy(line.format(1) + line.format(5).replace("lab", "other")), [])


class Topics(unittest.TestCase):
    """One life after another, between which the topic changes."""

    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        self.addCleanup(self.temp.cleanup)
        self.rig = BrokerRig(self.temp.name, CONFIG, seed=9, hours=3, hosts=60, load=5)
        self.rig.PARTITIONS = 2
        self.addCleanup(self.rig.close)
        self.rows = rig.rows_of(self.rig.messages, 2)

    def cluster(self, rows, n_partitions=2):
        b = rig.MockBroker()
        self.addCleanup(b.close)
        b.tell(f"topic hub {n_partitions}")
        b.produce("hub", rows)
        return b

    def life(self, d, broker, n_messages, more=""):
        """Runs until so many messages of this life are read and the offsets are safe; its log."""
        text = (d / "segwatch.yaml").read_text()
        (d / "segwatch.yaml").write_text(re.sub(r"brokers: \[[^]]*\]", f'brokers: ["{broker.brokers}"]', text))
        run = self.rig.start(d)
        read = lambda: int((re.findall(r"(\d+) messages", run.log()) or ["0"])[-1])
        ok = run.wait(lambda: read() >= n_messages and f"lag 0, {more}" in run.log(), 30)
        self.assertTrue(ok, run.log()[-3000:])
        time.sleep(0.3)
        self.assertEqual(run.end(), 0, run.log()[-2000:])
        return run.log()

    def gaps(self, log):
        return {int(p): (int(a), int(b)) for p, a, b in re.findall(
            r"event=kafka_gap .*?partition (\d+) of hub: offsets \[(\d+), (\d+)\) are gone", log)}

    def next_offsets(self, log):
        return {int(p): int(at) for p, at in re.findall(r"partition (\d+) of hub: reading from offset (\d+) ", log)}

    def test_partitions_are_added(self):
        d = self.rig.folder("grown")
        half = [r for r in self.rows[:len(self.rows) // 2]]
        self.life(d, self.cluster(half), len(half))
        new = [(2 + i % 2, s, m) for i, (_, s, m) in enumerate(self.rows[len(half):])]
        log = self.life(d, self.cluster(half + new, 4), len(new))
        self.assertEqual({p: at for p, at in self.next_offsets(log).items() if p >= 2}, {2: 0, 3: 0})
        self.assertEqual(self.gaps(log), {})

    def test_a_topic_made_anew_with_less(self):
        d = self.rig.folder("anew")
        self.life(d, self.cluster(self.rows), len(self.rows))
        few = self.rows[-60:]
        log = self.life(d, self.cluster(few), len(few))
        self.assertIn("event=kafka_recreated", log)
        self.assertEqual(self.next_offsets(log), {0: 0, 1: 0})

    def test_retention_overrun_is_an_exact_gap(self):
        """The mock cluster keeps 5 MiB a partition: what is beyond is gone from the front."""
        n_lives = kit.size(2, 10)
        choice = random.Random(f"{kit.SEED} retention")
        for i in range(n_lives):
            d = self.rig.folder(f"overrun-{i}")
            read = choice.randrange(20, len(self.rows) // 2)
            broker = self.cluster(self.rows[:read])
            first = self.next_offsets(self.life(d, broker, read))
            big = [(p, s, m + b" " * 25000) for p, s, m in self.rows[read:]]
            broker.produce("hub", big)
            low = {}
            for p in (0, 1):
                out = subprocess.run(["kcat", "-Q", "-b", broker.brokers, "-t", f"hub:{p}:-2"], stdout=subprocess.PIPE,
                                     timeout=20, check=True).stdout.decode()
                low[p] = int(re.search(r"offset (\d+)", out).group(1))
            self.assertGreater(sum(low.values()), read, "nothing was overrun: the test tests nothing")
            run = self.rig.start(d)
            run.wait(lambda: "lag 0, 2 of 2" in run.log(), 30)
            self.assertEqual(run.end(), 0)
            log, got = run.log(), self.gaps(run.log())
            for p in (0, 1):
                if p in got:
                    self.assertEqual(got[p][1], low[p], log[-2000:])
                    self.assertLessEqual(got[p][0], sum(1 for q, _, _ in self.rows[:read] if q == p))
            self.assertEqual(set(got), {p for p in (0, 1) if low[p] > sum(1 for q, _, _ in self.rows[:read] if q == p)}, log[-3000:])
            health = [l for l in (d / "alerts.jsonl").read_text().splitlines() if '"kind":"health"' in l]
            self.assertGreaterEqual(sum("messages of partition" in l for l in health), len(got))


class Clocks(unittest.TestCase):
    """Partitions and clocks that are far ahead or behind."""

    def run_on(self, rows, n, config=CONFIG):
        temp = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        self.addCleanup(temp.cleanup)
        broker = rig.MockBroker()
        self.addCleanup(broker.close)
        broker.tell(f"topic hub {n}")
        broker.produce("hub", rows)
        d = pathlib.Path(temp.name)
        (d / "segwatch.yaml").write_text(
            f'sources:\n  - {{name: lab, kind: kafka, brokers: ["{broker.brokers}"], topic: hub}}\nalerts: {{file: {d}/alerts.jsonl}}\n'
            f"state: {{dir: {d}/state}}\n{config}")
        holder = type("Holder", (), {"running": []})()
        run = rig.Run(holder, d)
        self.addCleanup(run.end, 9)
        self.assertTrue(run.wait(lambda: f"lag 0, {n} of {n}" in run.log(), 60), run.log()[-3000:])
        time.sleep(0.6)
        self.assertEqual(run.end(), 0)
        return run.log()

    def scenario(self, hours):
        temp = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        self.addCleanup(temp.cleanup)
        s = kit.scenario(temp.name, seed=3, hours=hours, hosts=60, load=5)
        return (s / "messages.ndjson").read_bytes().splitlines()

    def test_a_partition_six_hours_ahead(self):
        """Everything waits in the topic; partition 1 only has the last two of eight hours."""
        messages = self.scenario(8)
        time_of = lambda m: re.search(rb'"time":"2026-\d\d-\d\dT(\d\d):', m).group(1)
        first = int(time_of(messages[0]))
        rows = []
        for p, stamp_ms, m in rig.rows_of(messages, 2):
            ahead = (int(time_of(m)) - first) % 24 >= 6
            rows.append((1 if p == 1 and ahead else 0, stamp_ms, m))
        self.assertGreater(sum(p for p, _, _ in rows), 50)
        log = self.run_on(rows, 2, "time: {reorder: 2m}\n")
        kit.say("six hours ahead", f"{stat(log, 'tuples')} tuples, {stat(log, 'late')} late")
        self.assertEqual((stat(log, "late"), stat(log, "too late")), (0, 0))

    def test_without_order_there_is_lateness(self):
        """The check can fail: one partition in the wrong order is late."""
        messages = self.scenario(4)
        log = self.run_on([(0, s, m) for _, s, m in reversed(rig.rows_of(messages, 1))], 1, "time: {reorder: 2m}\n")
        self.assertGreater(stat(log, "late") + stat(log, "too late"), 100)

    def year_ahead(self, stamp_of):
        """(log, messages of the one NIC whose clock is wrong); stamp_of(message before, after) in ms."""
        messages = self.scenario(3)
        macs = [set(rig.MAC.findall(m)) for m in messages]
        alone = collections.Counter(next(iter(s)) for s in macs if len(s) == 1)
        mac = alone.most_common(1)[0][0]
        rows, n = [], 0
        for (p, _, m), who in zip(rig.rows_of(messages, 2), macs):
            right = m
            if who == {mac}:  # the record and its tuples, whose times are milliseconds since 1970
                m = re.sub(rb'"time":"2026-', b'"time":"2027-', m)
                m = re.sub(rb'"(17\d{11}),', lambda x: b'"%d,' % (int(x.group(1)) + 365 * 86400000), m)
                n += 1
            rows.append((p, stamp_of(right, m), m))
        self.assertGreater(n, 10)
        log = self.run_on(rows, 2, "time: {reorder: 2m}\n")
        watermark = re.findall(r'msg="watermark (\S+),', log)[-1]
        kit.say("a year ahead", f"{n} messages of one NIC, {stat(log, 'held')} tuples held, {stat(log, 'late')} late, "
                f"watermark {watermark}")
        self.assertTrue(watermark.startswith("2026-"), watermark)
        return log, n

    @staticmethod
    def ms_of(m):
        text = re.search(rb'"time":"([^".]*)', m).group(1).decode()
        return int(datetime.fromisoformat(text.rstrip("Z") + "+00:00").timestamp() * 1000)

    def test_a_clock_a_year_ahead(self):
        """The broker's stamp says when it came: nothing is late, nobody waits, as long as it came within time.reorder."""
        log, _ = self.year_ahead(lambda right, m: self.ms_of(right) + 60000)
        self.assertEqual((stat(log, "late"), stat(log, "too late")), (0, 0))

    def test_a_clock_a_year_ahead_that_also_stamps(self):
        """Nothing contradicts it but the others: its tuples are held and time does not follow it."""
        log, n = self.year_ahead(lambda right, m: self.ms_of(m) + 180000)
        self.assertGreater(stat(log, "held"), n)


if __name__ == "__main__":
    unittest.main()
