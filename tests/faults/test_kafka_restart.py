# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker is killed and started again while the daemon reads: nothing is lost or doubled. Its topic is made
anew and filled again while it is read, with fewer messages or with more: it is told, and all of the new one is read."""
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

import kit
import rig
import test_brokers
import test_silent

import kafka_broker  # of tests/e2e, which kit makes known


class Restartable(kafka_broker.KafkaBroker):
    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def again(self):
        self.process = subprocess.Popen(self.java + ["kafka.Kafka", str(self.dir / "server.properties")], stdout=self.log,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.dir)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                kafka_broker.run(["kcat", "-b", self.plaintext, "-L", "-m", "2"])
                return
            except RuntimeError:
                time.sleep(0.2)
        raise RuntimeError("the broker did not come back")


@unittest.skipIf(kafka_broker.missing(), kafka_broker.missing() or "")
class Restart(unittest.TestCase):
    def test_a_real_broker_dies_twice(self):
        n = kit.size(2, 10)
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder, Restartable(topic="hub") as broker:
            r = rig.Rig(folder, test_brokers.CONFIG, seed=9, hours=3, hosts=60,
                        load=5, attack="full")
            self.addCleanup(r.close)
            tool = lambda *args, data=b"": subprocess.run(
                [str(kit.BUILD / "tests/kafka_tool"), broker.plaintext, *map(str, args)], input=data, check=True, timeout=90)
            tool("create", "hub", r.PARTITIONS)
            d = r.folder("real")
            text = (d / "segwatch.yaml").read_text()
            (d / "segwatch.yaml").write_text(re.sub(r"brokers: \[[^]]*\]", f'brokers: ["{broker.plaintext}"]', text))
            rows = rig.rows_of(r.messages, r.PARTITIONS)
            portion = (len(rows) + 4 * n + 3) // (4 * n + 4)
            parts = [rows[i:i + portion] for i in range(0, len(rows), portion)]
            run = r.start(d)
            down = 0
            for i, part in enumerate(parts):
                tool("produce", "hub", data=b"".join(b"%d %d %d\n%s" % (p, s, len(m), m) for p, s, m in part))
                if i % 4 == 2 and down < n:
                    broker.kill()  # in the middle of what it hands out
                    down += 1
                    time.sleep(1)
                    broker.again()
                read = lambda: int((re.findall(r"(\d+) messages", run.log()) or ["0"])[-1])
                self.assertTrue(run.wait(lambda: read() >= i * portion, 60), run.log()[-3000:])
            self.assertTrue(run.wait(lambda: r.is_done(run), 60), run.log()[-3000:])
            self.assertEqual(run.end(), 0)
            kit.say("a real broker", f"killed {down} times, {len(rows)} messages, {len(r.expected)} lines")
            self.assertEqual(down, n)
            self.assertIsNone(rig.compare(r.expected, r.alerts(d)))
            self.assertNotIn("event=kafka_gap", run.log())
            self.assertIn("works again", run.log())

    def anew(self, n_before, n_after, pause_s, seen=True):
        """The topic is deleted, made again and filled while the daemon reads it, or before it could see that it was away."""
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder, Restartable(topic="hub") as broker:
            d = pathlib.Path(folder)
            kit.scenario(d / "scenario", seed=9, hours=3, hosts=60, load=5)
            rows = rig.rows_of((d / "scenario/messages.ndjson").read_bytes().splitlines(), 2)
            tool = lambda *args, data=b"": subprocess.run(
                [str(kit.BUILD / "tests/kafka_tool"), broker.plaintext, *map(str, args)], input=data, check=True, timeout=90)
            tool("create", "hub", 2)
            # what is sent to the new topic is sent later
            rows = [(p, stamp + (i >= n_before) * 1000, m) for i, (p, stamp, m) in enumerate(rows)]
            tool("produce", "hub", data=rig.framed(rows[:n_before]))
            (d / "segwatch.yaml").write_text(
                f'sources:\n  - {{name: lab, kind: kafka, brokers: ["{broker.plaintext}"], topic: hub, librdkafka: '
                '{topic.metadata.refresh.interval.ms: "500"}}\n'
                f"alerts: {{file: {d}/alerts.jsonl}}\nstate: {{dir: {d}/state}}\n{test_brokers.CONFIG}")
            run = rig.Run(type("Holder", (), {"running": []})(), d)
            self.addCleanup(run.end, 9)
            read = lambda: int((re.findall(r"(\d+) messages", run.log()) or ["0"])[-1])
            self.assertTrue(run.wait(lambda: read() >= n_before, 30), run.log()[-3000:])
            time.sleep(1)
            if not seen:
                run.process.send_signal(signal.SIGSTOP)
            tool("delete", "hub")
            time.sleep(pause_s)
            for _ in range(50):
                try:
                    tool("create", "hub", 2)
                    break
                except subprocess.CalledProcessError:
                    time.sleep(0.1)
            tool("produce", "hub", data=rig.framed(rows[n_before:n_before + n_after]))
            if not seen:
                run.process.send_signal(signal.SIGCONT)
            tuples = lambda a, b: sum(len(test_silent.times(m)) for _, _, m in rows[a:b])
            folded = lambda: int((re.findall(r"watermark \S+, (\d+) tuples", run.log()) or ["0"])[-1])
            run.wait(lambda: folded() >= tuples(0, n_before + n_after) and run.log().count("event=kafka_recreated") >= 2, 30)
            n = read()
            self.assertEqual(run.end(), 0)
            state = "\n".join(rig.canonical(d / "segwatch.yaml"))
            counted = int(re.search(r"count tuples: (\d+)", state).group(1))
            told = [l for l in (d / "alerts.jsonl").read_text().splitlines() if "made anew" in l]
            kit.say("made anew", f"{n_before} messages, then {n_after} others after {pause_s} s: {n - n_before} read (some twice), "
                    f"{counted - tuples(0, n_before)} of {tuples(n_before, n_before + n_after)} tuples counted, "
                    f"{len(told)} findings")
            self.assertEqual(counted, tuples(0, n_before + n_after), run.log()[-3000:])
            self.assertEqual(run.log().count("event=kafka_recreated"), 2, run.log()[-3000:])
            self.assertEqual({json.loads(l)["unmapped"]["kind"] for l in told}, {"health"})
            self.assertEqual(len(told), 2)

    def test_the_topic_is_made_anew_with_fewer(self):
        self.anew(300, 100, 0)

    def test_the_topic_is_made_anew_with_more(self):
        self.anew(200, 600, 0)

    def test_nobody_sees_that_the_topic_was_away(self):
        """Neither an error nor an end that went back tells it: what is there is."""
        self.anew(200, 600, 0, seen=False)

    def test_the_topic_is_away_for_a_while_and_comes_with_more(self):
        self.anew(200, 600, 3)


if __name__ == "__main__":
    unittest.main()
