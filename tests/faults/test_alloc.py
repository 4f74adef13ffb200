# SPDX-License-Identifier: Apache-2.0
"""Every allocation may fail: whole runs of the program under AddressSanitizer, each with another one failing."""
import gzip
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import kit


class Alloc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = kit.scenario(cls.folder.name, seed=7, hours=2, hosts=60, load=5, attack="full")
        lines = (cls.dir / "messages.ndjson").read_bytes().splitlines(keepends=True)
        (cls.dir / "small.ndjson").write_bytes(b"".join(lines[:90]) + b'{"records":[{"time":"x"}]}\n{]\n')
        (cls.dir / "small.gz").write_bytes(gzip.compress(b"".join(lines[:40])))

    def points(self, n, *args, control=None, options=()):
        """Runs alloc_run; (exit code, bad, reached, text)."""
        p = subprocess.run([str(kit.ASAN / "tests/alloc_run"), "--seed", str(kit.SEED), "--points", str(n),
                            *(["--control", control] if control else []), *options, "--", *map(str, args)], cwd=self.dir,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=3000,
                           env=dict(os.environ, **kit.SANITIZED))
        out = p.stdout.decode()
        m = re.search(r"(\d+) allocations, (\d+) points, (\d+) reached, .* (\d+) bad", out)
        self.assertTrue(m, out + p.stderr.decode(errors="replace")[-3000:])
        kit.say(self.id().split(".")[-1], out.split(": ", 1)[1].strip())
        return p.returncode, int(m.group(4)), int(m.group(3)), p.stderr.decode(errors="replace")[-6000:]

    def all_good(self, n, *args, options=()):
        code, bad, reached, text = self.points(n, *args, options=options)
        self.assertEqual((code, bad), (0, 0), text)
        self.assertGreater(reached, n * 9 // 10)

    def test_replay(self):
        self.all_good(kit.size(110, 1200), "replay", "-q", "-j", "1", "-c", "config.yaml", "small.ndjson")

    def test_replay_with_every_output_and_the_reference_decoder(self):
        self.all_good(kit.size(50, 400), "replay", "--reference", "--signals", "signals", "--quarantine", "bad",
                      "--summary", "sum", "-j", "2", "-c", "config.yaml", "small.ndjson", "small.gz")

    def test_gzip(self):
        self.all_good(kit.size(20, 200), "replay", "-q", "-j", "1", "small.gz")

    def test_run(self):
        """The daemon: start, a file to its end, stop. Its alerts carry the time of day; the input is too short for any."""
        (self.dir / "run.yaml").write_text(
            (self.dir / "config.yaml").read_text() + f"sources: [{{name: f, kind: file, path: {self.dir}/small.ndjson}}]\n"
            f"state: {{dir: {self.dir}/state}}\nalerts: {{file: {self.dir}/alerts.jsonl}}\nadmin: {{socket: {self.dir}/ctl, http: none}}\n")
        self.all_good(kit.size(60, 300), "run", "-c", "run.yaml",
                      options=("--prepare", "rm -rf state alerts.jsonl", "--file", "alerts.jsonl", "--term", "1000"))
        # the last one let the daemon do its work, or failed: once more, undisturbed
        shutil.rmtree(self.dir / "state", ignore_errors=True)
        p = subprocess.Popen([str(kit.ASAN / "daemon/segwatch"), "run", "-c", "run.yaml", "--stats-ms", "100"], cwd=self.dir,
                             stderr=subprocess.PIPE, env=dict(os.environ, **kit.SANITIZED))
        time.sleep(2)
        p.terminate()
        log = p.communicate(timeout=20)[1].decode()
        self.assertEqual(p.returncode, 0, log)
        self.assertRegex(log, r"watermark \S+, [1-9]\d* tuples", "what the points went through is the whole job")

    def test_configuration(self):
        self.all_good(kit.size(40, 200), "check", "--dump", "-c", "config.yaml")
        self.all_good(kit.size(20, 100), "check", "--schema")

    def test_known_faults_are_seen(self):
        for control in ("crash", "leak", "silent", "wrong"):
            with self.subTest(control):
                code, bad, _, text = self.points(4, control=control)
                self.assertEqual(code, 1, text)
                self.assertGreaterEqual(bad, 1, text)


if __name__ == "__main__":
    unittest.main()
