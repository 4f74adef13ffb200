# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker is killed and started again while the daemon reads: nothing is lost or doubled."""
import re
import signal
import subprocess
import tempfile
import time
import unittest

import kit
import rig
import test_brokers

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
        n = kit.size(2, 6)
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


if __name__ == "__main__":
    unittest.main()
