"""The same flows give the same findings, byte for byte, whatever the order and form in which they arrive (within
time.reorder), how many workers decode them, and how often they are read."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))
SEGWATCH = os.environ.get("SEGWATCH", str(BUILD / "daemon/segwatch"))
GENERATOR = BUILD / "tests/gen_scenario"
SIZE = ["--seed", "3", "--hosts", "80", "--minutes", "300", "--attack", "full", "--message-kb", "16:64"]


class Order(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="segwatch-order-"))
        cls.generate("sorted")
        cls.config = cls.dir / "sorted/config.yaml"
        cls.sorted = cls.replay(cls.dir / "sorted/messages.ndjson")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    @classmethod
    def generate(cls, name, *options):
        subprocess.run([GENERATOR, *SIZE, *options, "--out", cls.dir / name], check=True, stderr=subprocess.DEVNULL)

    @classmethod
    def replay(cls, path, *options):
        p = subprocess.run([SEGWATCH, "replay", "-c", cls.config, *options, path], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=120)
        if p.returncode:
            raise AssertionError(f"replay {path}: exit {p.returncode}\n{p.stderr.decode(errors='replace')[-2000:]}")
        return p.stdout

    def test_there_is_something_to_compare(self):
        lines = [json.loads(line) for line in self.sorted.splitlines()]
        self.assertTrue(any(line["unmapped"]["kind"] == "incident" for line in lines), len(lines))

    def test_reading_twice_gives_the_same_bytes(self):
        self.assertEqual(self.replay(self.dir / "sorted/messages.ndjson"), self.sorted)

    def test_number_of_workers_does_not_matter(self):
        for jobs in "1", "2", "3":
            self.assertEqual(self.replay(self.dir / "sorted/messages.ndjson", "-j", jobs), self.sorted, f"-j {jobs}")

    def test_order_within_reorder_does_not_matter(self):
        plain = (self.dir / "sorted/messages.ndjson").read_bytes()
        for seed in "1", "2", "3":
            self.generate("shuffled" + seed, "--shuffle", seed, "--within", "115")
            path = self.dir / f"shuffled{seed}/messages.ndjson"
            self.assertNotEqual(path.read_bytes(), plain)
            self.assertEqual(sorted(path.read_bytes().splitlines()), sorted(plain.splitlines()))
            self.assertEqual(self.replay(path), self.sorted, f"seed {seed}")

    def test_folders_of_hourly_blobs_give_the_same_findings(self):
        self.generate("tree", "--pt1h")
        self.assertEqual(self.replay(self.dir / "tree/blobs"), self.sorted)

    def test_names_that_tell_no_hour_do_not_matter(self):
        self.generate("named", "--pt1h")
        flat = self.dir / "flat"
        flat.mkdir()
        for n, blob in enumerate(sorted((self.dir / "named/blobs").rglob("PT1H.json"))):
            shutil.copy(blob, flat / f"{n * 7919 % 10007:05}.json")
        self.assertEqual(self.replay(flat), self.sorted)

    def test_what_a_full_buffer_releases_early_is_written_too(self):
        self.generate("crowd", "--hosts", "400", "--load", "600", "--minutes", "150", "--attack-minute", "60")
        config = self.dir / "crowded.yaml"
        config.write_text((self.dir / "crowd/config.yaml").read_text() + "\nmemory: {limit: 64MiB}\n"
                          "time: {reorder: 1h, idle: 2h}\n")
        signals, summary = self.dir / "signals.jsonl", self.dir / "summary.json"
        out = self.replay(self.dir / "crowd/messages.ndjson", "-c", config, "--signals", signals, "--summary", summary)
        counts = json.loads(summary.read_text())
        self.assertGreater(counts["reorder_forced"], 0)
        self.assertGreater(counts["findings"], 0)
        self.assertEqual(len(out.splitlines()), counts["findings"])
        self.assertEqual(len(signals.read_text().splitlines()), counts["signals"])


if __name__ == "__main__":
    unittest.main()
