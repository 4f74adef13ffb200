# SPDX-License-Identifier: Apache-2.0
"""What a start finds: the state of another instance, a topic that is not the one that was read, another configuration,
an older version's offsets, a state carried over from another machine."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import kit
import rig
from daemon import SEGWATCH, Daemon, places, state

N_PARTITIONS = 2


class Recovery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-recovery-")
        cls.addClassCleanup(cls.folder.cleanup)
        root = pathlib.Path(cls.folder.name)
        kit.scenario(root / "scenario", hours=6, hosts=60, load=15, attack="full")
        cls.messages = (root / "scenario/messages.ndjson").read_bytes().splitlines()
        cls.rules = (root / "scenario/config.yaml").read_text()
        code, out, _, err = kit.replay("-c", root / "scenario/config.yaml", root / "scenario/messages.ndjson")
        assert code == 0, err
        cls.expected = [(l["metadata"]["uid"], rig.strip(l)) for l in map(json.loads, out.splitlines())]
        assert len(cls.expected) > 3

    def setUp(self):
        self.dir = pathlib.Path(self.folder.name, self._testMethodName)
        self.dir.mkdir()

    def broker(self, messages):
        b = rig.MockBroker()
        self.addCleanup(b.close)
        b.tell(f"topic hub {N_PARTITIONS}")
        rows = rig.rows_of(messages, N_PARTITIONS)
        if rows:
            b.produce("hub", rows)
        return b

    def config(self, broker, name="a", more="", group="g"):
        d = self.dir / name
        d.mkdir(exist_ok=True)
        (d / "segwatch.yaml").write_text(
            f'sources:\n  - {{name: lab, kind: kafka, brokers: ["{broker.brokers}"], topic: hub, group: {group}, '
            'librdkafka: {fetch.wait.max.ms: "20", topic.metadata.refresh.interval.ms: "500"}}\n'
            f"alerts: {{file: {d}/alerts.jsonl}}\nstate: {{dir: {d}/state}}\n"
            f"admin: {{socket: {self.folder.name}/{name}.sock, http: none}}\n{more}{self.rules}")
        return d / "segwatch.yaml"

    def consumed(self, config):
        return sum(p["next"] for p in places(config).values() if p["next"] > 0)

    def read_all(self, config, *options, n=None):
        d = Daemon(self, config, *options)
        d.wait_for(lambda: d.log() and self.consumed(config) == (n or len(self.messages)), "everything consumed")
        return d

    def wait_claim(self, broker, group):
        """An instance is known to others once its first commit is: whoever looks before begins at the same time."""
        tool = [str(kit.BUILD / "tests/kafka_tool"), broker.brokers, "committed", group, "hub"]
        for p in range(N_PARTITIONS):
            for _ in range(100):
                r = subprocess.run([*tool, str(p)], capture_output=True, text=True, timeout=60)
                if r.returncode == 0 and int(r.stdout) >= 0:
                    break
                time.sleep(0.1)
            else:
                self.fail(f"nobody claims partition {p}: {r.stdout}{r.stderr}")

    def health(self, config):
        path = config.parent / "alerts.jsonl"
        lines = map(json.loads, path.read_text().splitlines())
        return [l["message"] for l in lines if l["unmapped"]["kind"] == "health"]

    def test_a_second_instance_on_the_group_is_refused_unless_it_takes_over(self):
        broker = self.broker(self.messages[:50])
        first = self.read_all(self.config(broker, "a"), n=50)
        self.wait_claim(broker, "g")
        other = self.config(broker, "b")
        second = Daemon(self, other)
        self.assertEqual(second.process.wait(20), 75, second.log())
        self.assertIn("another instance reads the topic hub", second.log())
        self.assertIn("--take-over", second.log())
        self.assertFalse(re.search(r"event=kafka_partition", second.log()), "it must not have begun")
        third = Daemon(self, other, "--take-over")
        third.wait_log("event=kafka_partition")
        self.assertEqual(first.process.wait(20), 75, first.log()[-2000:])
        self.assertIn("was taken over", first.log())
        self.assertIsNone(third.process.poll())
        self.assertEqual(third.stop()[0], 0)
        # who left says so: nobody waits for it
        fourth = self.read_all(self.config(broker, "a"), n=50)
        self.assertEqual(fourth.stop()[0], 0)

    def test_after_a_kill_the_same_state_goes_on_at_once(self):
        broker = self.broker(self.messages)
        config = self.config(broker)
        d = self.read_all(config)
        d.kill()
        d = self.read_all(config)
        d.wait_for(lambda: len(rig.read_lines(config.parent / "alerts.jsonl")) >= len(self.expected), "found")
        self.assertEqual(d.stop()[0], 0)
        self.assertIsNone(rig.compare(self.expected, config.parent / "alerts.jsonl"))
        self.assertNotIn("second_instance", d.log())

    def test_a_topic_that_was_made_anew_is_told_and_read_from_its_start(self):
        config = self.config(self.broker(self.messages[:200]))
        self.assertEqual(self.read_all(config, n=200).stop()[0], 0)
        n = {p: r["next"] for (_, p), r in places(config).items()}
        config = self.config(self.broker(self.messages[200:210]))  # shorter than what was read
        d = self.read_all(config, n=10)
        self.assertEqual(d.log().count("event=kafka_recreated"), N_PARTITIONS)
        self.assertIn("the topic was made anew", d.log())
        d.wait_for(lambda: len(self.health(config)) == N_PARTITIONS, "a finding for each partition")
        self.assertIn(f"read up to {n[0]}: it was made anew", " ".join(self.health(config)))
        self.assertEqual(d.stop()[0], 0)

    def test_a_topic_that_was_filled_again_is_known_by_its_last_message(self):
        config = self.config(self.broker(self.messages[:100]))
        self.read_all(config, n=100).kill()  # recovery meets it as well
        config = self.config(self.broker(self.messages[100:700]))
        d = self.read_all(config, n=600)
        self.assertEqual(d.log().count("is not the one that was read there"), N_PARTITIONS)
        self.assertEqual(d.stop()[0], 0)
        d = self.read_all(config, n=600)
        self.assertNotIn("kafka_recreated", d.log())
        self.assertEqual(d.stop()[0], 0)

    def test_what_was_read_under_another_configuration_is_repeated_under_it(self):
        broker = self.broker(self.messages[:600])
        config = self.config(broker)
        text = config.read_text()
        d = self.read_all(config, "--checkpoint-ms", "3600000", n=600)
        reload = lambda: subprocess.run([SEGWATCH, "ctl", "reload", "-c", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, timeout=20)
        seen = {state(config)["outbox"]["configuration"]}
        for i in range(3):
            config.write_text(text + f"time: {{idle: {5 + i}m}}\ndetectors: {{denied_scan: {{mode: {'off' if i % 2 else 'alert'}}}}}\n")
            self.assertEqual(reload().returncode, 0)
            broker.produce("hub", rig.rows_of(self.messages[600 + 100 * i:700 + 100 * i], N_PARTITIONS))
            d.wait_for(lambda: self.consumed(config) == 700 + 100 * i, "consumed")
            seen.add(state(config)["outbox"]["configuration"])
        self.assertEqual(len(seen), 4, "the rows name the configuration they were made under")
        config.write_text(text + "nonsense: true\n")
        d.process.send_signal(signal.SIGHUP)
        d.wait_log("the new configuration is not used")
        d.kill()
        config.write_text(text)
        d = self.read_all(config, n=900)
        d.wait_log("event=recovered")
        self.assertRegex(d.log(), r"releases repeated in \d+ ms, \d+ findings compared, 0 differ")
        self.assertEqual(d.stop()[0], 0)

    def test_a_state_is_carried_over_as_one_file(self):
        broker = self.broker(self.messages[:len(self.messages) // 2])
        here, there = self.config(broker, "here"), self.config(broker, "there")
        d = self.read_all(here, n=len(self.messages) // 2)
        file = self.dir / "state.file"
        run = lambda *args: subprocess.run([SEGWATCH, "state", *map(str, args)], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(run("export", file, "-c", here).returncode, 75, "not while the daemon runs")
        self.assertEqual(run("check", "-c", here).returncode, 0)
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(run("export", file, "-c", here).returncode, 0)
        self.assertEqual(run("import", file, "-c", there).returncode, 0)
        self.assertIn("--replace", run("import", file, "-c", there).stderr)
        folder = there.parent / "state"
        before = sorted(p.name for p in folder.iterdir())
        for spoil, why in ((lambda b: b[:-20], "ends"), (lambda b: b.replace(b"state 1", b"state 9", 1), "newer version"),
                           (lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:], "checksum"), (lambda b: b"x", "no exported")):
            bad = self.dir / "bad.file"
            bad.write_bytes(spoil(file.read_bytes()))
            p = run("import", "--replace", bad, "-c", there)
            self.assertEqual(p.returncode, 1)
            self.assertIn(why, p.stderr)
        self.assertEqual(sorted(p.name for p in folder.iterdir()), before, "what was damaged changed nothing")
        number = next(p.name for p in folder.iterdir() if p.name.startswith("snapshot."))
        was = {name: (folder / name).read_bytes() for name in ("outbox.db", "seed", number)}
        if os.getuid() == 0:
            os.chown(folder, 65534, 65534)
        p = run("import", "--replace", file, "-c", there)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn(str(folder / "replaced"), p.stderr)
        for name, data in was.items():
            self.assertEqual((folder / "replaced" / name).read_bytes(), data, name)
            self.assertEqual((folder / name).stat().st_uid, folder.stat().st_uid, "the daemon's user can read it")
        self.assertFalse((folder / "import.tmp").exists())
        canonical = [run("export", "--canonical", "-c", c).stdout for c in (here, there)]
        self.assertEqual(*canonical)
        self.assertIn("count connections", canonical[0])
        shutil.copy(here.parent / "alerts.jsonl", there.parent / "alerts.jsonl")
        broker.produce("hub", rig.rows_of(self.messages[len(self.messages) // 2:], N_PARTITIONS))
        d = self.read_all(there)
        d.wait_for(lambda: len(rig.read_lines(there.parent / "alerts.jsonl")) >= len(self.expected), "everything found")
        self.assertEqual(d.stop()[0], 0)
        self.assertIsNone(rig.compare(self.expected, there.parent / "alerts.jsonl"))
        self.assertIn("places", run("info", "-c", there).stdout)

    def test_offsets_of_an_older_version_are_read_once(self):
        config = self.config(self.broker(self.messages[:100]))
        folder = config.parent / "state"
        folder.mkdir()
        (folder / "offsets.json").write_text(json.dumps({"version": 1, "offsets": [
            {"source": "lab", "topic": "hub", "partition": 0, "next": 7},
            {"source": "lab", "topic": "hub", "partition": 1, "next": 3}]}))
        d = self.read_all(config, n=100)
        self.assertIn("partition 0 of hub: reading from offset 7 ", d.log())
        self.assertIn("partition 1 of hub: reading from offset 3 ", d.log())
        self.assertEqual(d.stop()[0], 0)
        d = Daemon(self, config)
        d.wait_log("event=kafka_partition")
        d.wait_for(lambda: not (folder / "offsets.json").exists(), "the old file gone")
        self.assertNotIn("reading from offset 7 ", d.log())
        self.assertEqual(d.stop()[0], 0)

    def test_start_and_stop_are_quick(self):
        config = self.config(self.broker(self.messages))
        d = self.read_all(config)
        code, seconds = d.stop()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 5)
        size = state(config)["snapshots"][0]["bytes"]
        began = time.monotonic()
        d = Daemon(self, config)
        while "event=start " not in d.log():
            self.assertLess(time.monotonic() - began, 5, d.log())
            time.sleep(0.005)
        kit.say("recovery", f"stopped in {seconds * 1000:.0f} ms, ready {1000 * (time.monotonic() - began):.0f} ms after "
                            f"its start with a snapshot of {size} bytes")
        self.assertLess(time.monotonic() - began, 1 + size / 50e6)
        self.assertEqual(d.stop()[0], 0)

    def test_a_disk_that_hardly_moves_does_not_hold_up_a_stop(self):
        broker = self.broker(self.messages)
        shared = self.dir / "shared"
        # 4 s: it comes back while the process leaves; 60 s: it does not; and with a snapshot that is under way already
        for i, (seconds, checkpoint) in enumerate(((4, "3600000"), (60, "3600000"), (60, "100"))):
            config = self.config(broker, f"disk{i}", group=f"disk{i}")
            shared.write_bytes(bytes(4096))
            hits = lambda: int.from_bytes(shared.read_bytes()[8:16], sys.byteorder)
            preload = f"{kit.BUILD / 'tests/fault_shim.so'}:{os.environ.get('LD_PRELOAD', '')}"
            d = Daemon(self, config, "--checkpoint-ms", checkpoint,
                       env={"LD_PRELOAD": preload, "FAULT_DIR": str(config.parent), "FAULT_SHARED": str(shared),
                            "FAULT_KIND": "slow", "FAULT_FOR": str(seconds)})
            d.wait_for(lambda: d.log() and self.consumed(config) == len(self.messages), "everything consumed")
            if checkpoint == "100":
                d.wait_for(lambda: hits() > 0, "a snapshot that waits for the disk")
            code, took = d.stop()
            kit.say("recovery", f"stopped in {took * 1000:.0f} ms by a disk that takes {seconds} s")
            self.assertEqual(code, 0, d.log())
            self.assertLess(took, 5.5)  # 5, on a machine that does other things as well
            self.assertGreater(hits(), 0, "the disk was asked")
            if seconds == 60:
                self.assertEqual(state(config).get("snapshots", []), [], "what was not written counts for nothing")
            d = self.read_all(config)
            d.wait_log("event=recovered" if seconds == 60 else "event=start ")
            d.wait_for(lambda: len(rig.read_lines(config.parent / "alerts.jsonl")) >= len(self.expected), "found")
            self.assertEqual(d.stop()[0], 0)
            self.assertIsNone(rig.compare(self.expected, config.parent / "alerts.jsonl"))
            self.assertFalse(list((config.parent / "state").glob("*.tmp")))

    def test_less_memory_than_the_state_takes_is_refused_and_nothing_is_lost(self):
        config = self.config(self.broker(self.messages[:10]), more="memory: {limit: 64MiB}\n")
        text, folder = config.read_text(), config.parent / "state"
        folder.mkdir(mode=0o700)
        file = folder / "snapshot.1"
        subprocess.run([kit.BUILD / "tests/bench/bench_snapshot", "512", file, "1", "200000",
                        json.dumps({"version": 1, "number": "1", "conf": "", "places": []})], check=True, timeout=120,
                       stdout=subprocess.DEVNULL)
        before = file.read_bytes()
        for _ in range(2):  # systemd tries again
            d = Daemon(self, config)
            self.assertEqual(d.process.wait(20), 1, d.log())
            self.assertRegex(d.log(), r"event=start_failed .*memory\.limit is too small for what it holds: raise it again, "
                                      "or move the state away to begin anew")
            self.assertEqual(file.read_bytes(), before)
        config.write_text(text.replace("64MiB", "512MiB"))
        d = Daemon(self, config)
        d.wait_log("event=start ")
        self.assertIn("state of release 1 loaded", d.log())
        self.assertEqual(d.stop()[0], 0)


if __name__ == "__main__":
    unittest.main()
