# SPDX-License-Identifier: Apache-2.0
"""Counts of every sample, against the independent script and against what is committed."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests/data/samples"
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
DECODE_FILE = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build")) / "tests/decode_file"


def samples():
    return sorted(p for p in SAMPLES.iterdir() if p.suffix != ".md" and not p.name.endswith(".counts.json"))


def committed(path):
    return json.loads((SAMPLES / (path.name + ".counts.json")).read_text())


def output(args):
    return subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)


class Script(unittest.TestCase):
    def test_counts_as_committed(self):
        self.assertGreater(len(samples()), 15)
        for path in samples():
            with self.subTest(path.name):
                p = output([sys.executable, ROOT / "tests/tools/count_flows.py", path])
                self.assertEqual(json.loads(p.stdout), committed(path), p.stderr)

    def test_bandwidth_example_adds_up(self):
        n = committed(SAMPLES / "derived_bandwidth.json")
        self.assertEqual(n["packets_forward"] + n["packets_reverse"], 2 * 9125)
        self.assertEqual(n["bytes_forward"] + n["bytes_reverse"], 2 * 5256000)


class Decoder(unittest.TestCase):
    """The decode room alone; in every way the records come out the same."""

    def check(self, *options):
        for path in samples():
            with self.subTest(path.name):
                p = output([DECODE_FILE, *options, path])
                self.assertEqual(json.loads(p.stdout), committed(path), p.stderr)

    def test_fast(self):
        self.check()

    def test_reference(self):
        self.check("--reference")

    def test_one_record_per_piece(self):
        for path in samples():
            with self.subTest(path.name):
                got, want = json.loads(output([DECODE_FILE, "--piece", "1", path]).stdout), committed(path)
                got.pop("message_errors"), want.pop("message_errors")  # of a message in pieces nobody sees the whole
                self.assertEqual(got, want)


class Replay(unittest.TestCase):
    """The whole program."""

    def test_summary_counts_as_the_script(self):
        for path in samples():
            with self.subTest(path.name):
                want = committed(path)
                p = output([SEGWATCH, "replay", "--summary", "-", path])
                self.assertEqual(p.returncode, 65 if want["records"] + want["records_skipped"] == 0 else 0, p.stderr)
                got = json.loads([l for l in p.stderr.decode().splitlines() if l.startswith("{")][-1])
                self.assertEqual({k: got.get(k) for k in want}, want)


if __name__ == "__main__":
    unittest.main()
