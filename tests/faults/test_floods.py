# SPDX-License-Identifier: Apache-2.0
"""More keys than memory: it stays within its limit, and who scans within the noise is found."""
import json
import pathlib
import subprocess
import tempfile
import unittest

import kit

MIB = 1 << 20
LIMIT = 128 * MIB
BESIDE = 64 * MIB
CONFIG = """learning: 0
memory: {limit: 128MiB}
segments:
  - {name: web, cidrs: [10.1.0.0/16, "fd00:1::/64"]}
  - {name: db, cidrs: [10.2.0.0/16, "fd00:2::/64"]}
  - {name: app, cidrs: [10.3.0.0/16]}
"""
# The replay in a small process: a child starts with the peak memory of the one that forked it.
RUN = """import json, resource, subprocess, sys
with open(sys.argv[1], "wb") as out:
    code = subprocess.run(sys.argv[2:], stdout=out).returncode
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, u.ru_utime + u.ru_stime, u.ru_maxrss * 1024]))"""


class Floods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        (cls.dir / "segwatch.yaml").write_text(CONFIG)

    def flood(self, mode, n, limit=LIMIT, minutes=30):
        """(CPU seconds, peak, summary, findings)."""
        source = subprocess.Popen([str(kit.BUILD / "tests/flood"), mode, str(n), str(kit.SEED), str(minutes)],
                                  stdout=subprocess.PIPE)
        p = subprocess.run(["/usr/bin/python3", "-c", RUN, str(self.dir / "out"), kit.SEGWATCH, "replay", "-q", "-c",
                            str(self.dir / "segwatch.yaml"), "--summary", str(self.dir / "summary"), "-"],
                           stdin=source.stdout, stdout=subprocess.PIPE, timeout=3000)
        source.stdout.close()
        source.wait()
        code, seconds, peak = json.loads(p.stdout)
        self.assertEqual(code, 0)
        s = json.loads((self.dir / "summary").read_text())
        findings = [json.loads(l) for l in (self.dir / "out").read_text().splitlines()]
        self.assertGreaterEqual(s["tuples"], n)
        self.assertLessEqual(peak, limit + BESIDE)
        kit.say(f"flood of {mode}", f"{n} tuples, {seconds:.1f} s of CPU ({n / seconds / 1e6:.2f} M/s), peak {peak / MIB:.0f} "
                f"MiB with a limit of {limit / MIB:.0f}, {s['evicted']} evicted, {s['findings']} findings")
        return seconds, peak, s, findings

    def actors(self, findings):
        return {f["unmapped"]["actor"] for f in findings}

    def test_public_keys(self):
        _, _, s, findings = self.flood("keys", kit.size(5000000, 20000000))
        self.assertIn("10.1.0.66", self.actors(findings))
        self.assertGreater(s["evicted"], 0)

    def test_private_keys(self):
        """A key that failed once waits for a second time, 5 s later, among 1,400 others a second: beyond some 1,600 it is lost
        with this much memory, and twice of both is found again."""
        n = kit.size(1000000, 5000000)
        _, _, s, findings = self.flood("inside", n, minutes=max(12, n // 84000))
        self.assertIn("10.1.0.66", self.actors(findings))

    def test_a_sweep_of_a_64(self):
        _, _, s, findings = self.flood("sweep", kit.size(2000000, 10000000))
        self.assertEqual(self.actors(findings), {"fd00:1::66"})

    def test_what_is_normal_finds_nothing(self):
        """The check can fail: without a scanner there is none, and with a tenth of the memory the peak would be seen."""
        _, peak, s, findings = self.flood("normal", 300000)
        self.assertEqual(findings, [])
        with self.assertRaises(AssertionError):
            self.flood("keys", 600000, limit=-BESIDE + MIB)

    if kit.SOAK:  # a measurement: not for machines that are busy
        def test_floods_cost_at_most_twice_what_is_normal(self):
            n = kit.size(1000000, 2000000)
            normal = self.flood("normal", n)[0]
            for mode in ("keys", "inside", "sweep"):
                with self.subTest(mode):
                    self.assertLessEqual(self.flood(mode, n)[0], 2 * normal)


if __name__ == "__main__":
    unittest.main()
