# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments: nothing lost, nothing doubled, the state as if nothing had happened.

The oracle does not know the daemon's state: the expected lines come from `segwatch replay` of the same messages in one
go, the expected state from a daemon that was never killed. While the daemon is killed and started again the topic is
filled, so that kills meet recovery, catching up, snapshots and the alert file at work.

    SEGWATCH_SOAK=1 SEGWATCH_COUNT=1000 SEGWATCH_SEED=7 python3 -m unittest tests/e2e/test_kill.py     (./dev soak kill)
"""
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import kit
import rig
from daemon import Daemon, state

N_PARTITIONS = 4
KILLS = kit.size(60, 1000)
# Hours go by in seconds here: what takes a broker milliseconds is minutes of event time. Many lines, so that kills meet them.
TALKATIVE = ("time: {reorder: 15m, idle: 16m}\nincidents: {min_severity: low}\ndetectors:\n" +
             "".join(f"  {d}: {{mode: alert}}\n" for d in
                     ("admin_fanout", "horizontal_scan", "denied_scan", "new_admin_edge", "pivot_chain")))


class Kill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-kill-")
        cls.addClassCleanup(cls.folder.cleanup)
        root = pathlib.Path(cls.folder.name)
        kit.scenario(root / "scenario", hours=6, hosts=80, load=30, attack="full")
        cls.messages = (root / "scenario/messages.ndjson").read_bytes().splitlines()
        cls.rules = re.sub(r"(?m)^learning: .*$", "learning: 0", (root / "scenario/config.yaml").read_text()) + TALKATIVE
        (root / "scenario/config.yaml").write_text(cls.rules)
        code, out, _, err = kit.replay("-c", root / "scenario/config.yaml", root / "scenario/messages.ndjson")
        assert code == 0, err
        lines = [json.loads(l) for l in out.splitlines()]
        cls.expected = [(l["metadata"]["uid"], rig.strip(l)) for l in lines]
        assert len(cls.expected) > 50

    def setUp(self):
        self.dir = pathlib.Path(self.folder.name, self._testMethodName)
        self.dir.mkdir()
        self.random = random.Random(kit.SEED)
        self.broker = rig.MockBroker()
        self.addCleanup(self.broker.close)
        self.broker.tell(f"topic hub {N_PARTITIONS}")
        self.rows = rig.rows_of(self.messages, N_PARTITIONS)
        self.produced = 0

    def feed(self, upto):
        """Confirmed by the broker before more is sent: partitions stay together."""
        if upto > self.produced:
            self.broker.produce("hub", self.rows[self.produced:upto])
            self.produced = upto

    def config(self, name):
        d = self.dir / name
        d.mkdir()
        (d / "segwatch.yaml").write_text(
            f'sources:\n  - {{name: lab, kind: kafka, brokers: ["{self.broker.brokers}"], topic: hub, group: g-{name}, '
            'librdkafka: {fetch.wait.max.ms: "20", topic.metadata.refresh.interval.ms: "500"}}\n'
            f"alerts: {{file: {d}/alerts.jsonl}}\nstate: {{dir: {d}/state}}\n"
            f'admin: {{socket: "{self.folder.name}/{name}.sock", http: none}}\n{self.rules}')
        return d / "segwatch.yaml"

    def consumed(self, config):
        places = state(config).get("outbox", {}).get("places", [])
        return sum(p["next"] for p in places if p["next"] > 0)

    def live_and_die(self, config, kills, life=(0.05, 0.7), checkpoints=(100, 300, 3000, 10000), spoil=None):
        """Kills it so many times while the topic fills; returns what the logs said."""
        logs = []
        for n in range(kills):
            d = Daemon(self, config, "--checkpoint-ms", str(self.random.choice(checkpoints)))
            end, began = time.monotonic() + self.random.uniform(*life), time.monotonic()
            while (now := time.monotonic()) < end:
                share = (n + (now - began) / (end - began)) / kills
                self.feed(int(len(self.rows) * share))
                time.sleep(0.03)
            self.assertIsNone(d.process.poll(), d.log()[-3000:])
            d.kill()
            logs.append(d.log())
            d.log_path.unlink()
            if spoil:
                spoil(config.parent, n)
        self.feed(len(self.rows))
        return "\n".join(logs)

    def end(self, config, watermark=None, seconds=40):
        """One more life, to the end of the topic; returns its log and the watermark it came to."""
        d = Daemon(self, config)
        seen = [None, time.monotonic()]

        def enough():
            outbox = state(config).get("outbox", {})
            consumed = sum(p["next"] for p in outbox.get("places", []) if p["next"] > 0)
            if outbox.get("watermark") != seen[0]:
                seen[:] = [outbox.get("watermark"), time.monotonic()]
            still = seen[0] == watermark if watermark else time.monotonic() - seen[1] > 1
            return (still and consumed == len(self.rows) and
                    len(rig.read_lines(config.parent / "alerts.jsonl")) >= len(self.expected))
        try:
            d.wait_for(enough, "everything consumed and found", seconds)
        except AssertionError:
            pass  # what is missing is told by the comparison
        self.assertEqual(d.stop()[0], 0, d.log()[-3000:])
        return d.log(), seen[0]

    def check_state(self, config):
        check = subprocess.run([kit.SEGWATCH, "state", "check", "-c", str(config)], stdout=subprocess.PIPE, timeout=60)
        self.assertEqual(check.returncode, 0, check.stdout.decode())

    def test_killed_at_random_nothing_is_lost_or_doubled(self):
        config = self.config("killed")
        log = self.live_and_die(config, KILLS)
        calm = self.config("calm")
        _, watermark = self.end(calm)
        self.assertIsNone(rig.compare(self.expected, calm.parent / "alerts.jsonl"))
        log += self.end(config, watermark)[0]
        repeated = sum(int(n) for n in re.findall(r"event=recovered .*?msg=\"(\d+) releases repeated", log))
        differ = sum(int(n) for n in re.findall(r"event=recovered .*? (\d+) differ", log))
        kit.say("kill", f"{KILLS} kills, {log.count('event=recovered')} recoveries repeated {repeated} releases, "
                        f"{log.count('state of release')} snapshots loaded, {len(self.expected)} lines")
        self.assertIsNone(rig.compare(self.expected, config.parent / "alerts.jsonl"), f"seed {kit.SEED}")
        self.assertEqual(differ, 0, f"seed {kit.SEED}: what is repeated must be what was")
        self.assertNotIn("event=state_lost", log)
        self.assertNotIn("snapshot_damaged", log)
        self.assertGreater(repeated, KILLS, "the kills met nothing to repeat")
        self.check_state(config)
        self.assertEqual(rig.canonical(config), rig.canonical(calm), f"seed {kit.SEED}:\n" + log[-3000:])

    def test_a_damaged_snapshot_falls_back_to_the_one_before(self):
        config = self.config("damaged")
        hurt = []

        def spoil(folder, n):
            files = sorted((folder / "state").glob("snapshot.*[0-9]"), key=lambda p: int(p.suffix[1:]))
            if len(files) == 2 and n % 2:
                data = bytearray(files[-1].read_bytes())
                data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
                files[-1].write_bytes(data)
                hurt.append(files[-1].name)

        log = self.live_and_die(config, 12, (0.3, 0.8), (100, 200), spoil) + self.end(config)[0]
        self.assertGreater(len(hurt), 2)
        self.assertGreaterEqual(log.count("event=snapshot_damaged"), len(hurt) - 1)
        self.assertNotIn("event=state_lost", log)
        self.assertIn("count tuples_late: 0", rig.canonical(config))
        self.assertIsNone(rig.compare(self.expected, config.parent / "alerts.jsonl"), f"seed {kit.SEED}")

    def test_negative_control(self):
        """Without its snapshots the daemon cannot know what it knew: the comparison has to see that."""
        config = self.config("control")

        def spoil(folder, n):
            for f in (folder / "state").glob("snapshot.*"):
                f.unlink()

        log = self.live_and_die(config, 8, (0.7, 1.0), (100, 200), spoil) + self.end(config, seconds=6)[0]
        self.assertIn("event=state_lost", log)
        self.assertIsNotNone(rig.compare(self.expected, config.parent / "alerts.jsonl"))
        last = self.dir / "one-less.jsonl"
        last.write_bytes(b"".join((config.parent / "alerts.jsonl").read_bytes().splitlines(True)[:-1]))
        self.assertIn("lost", rig.compare(self.expected, last))


if __name__ == "__main__":
    unittest.main()
