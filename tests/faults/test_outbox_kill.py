# SPDX-License-Identifier: Apache-2.0
"""The outbox and the alert file alone (tests/tools/outbox_loop.c), without the daemon around them: every call to the disk
of a short run is hit once. Then one undisturbed life, and every line stands in the file once."""
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

import kit

RELEASES = "40"
LOOP = kit.BUILD / "tests/outbox_loop"
TEMPFAIL, SHIM_EXIT = 75, 99


class Loop(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.mkdtemp(prefix="segwatch-faults-")
        self.addCleanup(shutil.rmtree, self.temp, True)

    def life(self, d, kind="", at=0):
        """(exit code, calls made, what was hit, its log)."""
        shared = f"{d}.shared"
        with open(shared, "wb") as f:
            f.write(b"\0" * 4096)
        env = dict(os.environ, LD_PRELOAD=str(kit.BUILD / "tests/fault_shim.so"), FAULT_DIR=d, FAULT_SHARED=shared,
                   FAULT_KIND=kind, FAULT_AT=str(at), FAULT_SEED=str(at * 7 + 1), FAULT_FOR="1")
        p = subprocess.run([LOOP, "run", d, RELEASES], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           timeout=60)
        with open(shared, "rb") as f:
            calls, _, _, what = struct.unpack("QQI64s", f.read()[:84])
        return p.returncode, calls, what.split(b"\0")[0].decode(), p.stderr.decode()

    def folder(self, name):
        d = os.path.join(self.temp, name)
        os.mkdir(d)
        return d

    def point(self, kind, at):
        """What is wrong after this fault; None if nothing is."""
        d = self.folder(f"{kind}-{at}")
        code, _, what, log = self.life(d, kind, at)
        allowed = {"exit": (0, SHIM_EXIT), "powerloss": (0, SHIM_EXIT), "short": (0,)}.get(kind, (0, TEMPFAIL))
        if code not in allowed:
            return f"{kind} at call {at} ({what}): it ended with {code}: {log[-800:]}"
        if code:
            code, _, _, log = self.life(d)
            if code:
                return f"{kind} at call {at} ({what}): the life after it ended with {code}: {log[-800:]}"
        p = subprocess.run([LOOP, "check", d, RELEASES], stderr=subprocess.PIPE, timeout=60)
        if p.returncode:
            return f"{kind} at call {at} ({what}): {p.stderr.decode()[:800]}"
        shutil.rmtree(d)
        return None

    def sweep(self, kind):
        code, calls, _, log = self.life(self.folder("counted"))
        self.assertEqual(code, 0, log)
        self.assertGreater(calls, 50)
        step = max(1, calls // kit.size(40, 1000))
        bad = []
        for at in range(1, calls + 1, step):
            wrong = self.point(kind, at)
            if wrong:
                bad.append(wrong)
                if len(bad) >= 5:
                    break
        kit.say(f"outbox {kind}", f"every {step}. of {calls} calls, {len(bad)} bad")
        self.assertEqual(bad, [], "\n\n".join(bad))

    def test_killed(self):
        self.sweep("exit")

    def test_the_power_goes(self):
        self.sweep("powerloss")

    def test_full(self):
        self.sweep("enospc")

    def test_broken(self):
        self.sweep("eio")

    def test_writes_less_than_asked(self):
        self.sweep("short")


if __name__ == "__main__":
    unittest.main()
