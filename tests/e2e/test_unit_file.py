#!/usr/bin/env python3
"""The systemd files: hardening, syntax, the user and the folders they make."""
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))
PROGRAM = pathlib.Path(os.environ.get("SEGWATCH", BUILD / "daemon/segwatch"))
UNIT = BUILD / "systemd/segwatch.service"


def run(*args):
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True)
    return p.returncode, p.stdout


class UnitFile(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def settings(self):
        """key -> list of values"""
        found = {}
        for line in UNIT.read_text().splitlines():
            if "=" in line and not line.startswith("#"):
                key, value = line.split("=", 1)
                found.setdefault(key, []).append(value)
        return found

    def test_exposure_is_at_most_1_5(self):
        code, out = run("systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT)
        self.assertEqual(code, 0, out)
        self.assertIn("Overall exposure level", out)

    def test_an_unprotected_unit_would_not_pass(self):
        """The gate can fail: the same unit without its hardening does."""
        bare = self.dir / "segwatch.service"
        bare.write_text("[Service]\nExecStart=/bin/true\n")
        code, _ = run("systemd-analyze", "security", "--offline=true", "--threshold=15", bare)
        self.assertNotEqual(code, 0)

    def test_unit_verifies(self):
        unit = self.dir / "segwatch.service"
        text = UNIT.read_text()
        for line in text.splitlines():
            if line.startswith("Exec"):
                path = line.split("=", 1)[1].split()[0]
                self.assertTrue(path.endswith("/segwatch") and path.startswith("/"), line)
                text = text.replace(path + " ", str(PROGRAM.resolve()) + " ")
        unit.write_text(text)
        code, out = run("systemd-analyze", "verify", unit)
        self.assertEqual((code, out), (0, ""))

    def test_unit_says_what_the_program_does(self):
        s = self.settings()
        self.assertEqual(s["Type"], ["notify"])
        self.assertEqual(s["UMask"], ["0027"])
        self.assertEqual(s["User"], ["segwatch"])
        self.assertIn("check -c /etc/segwatch/segwatch.yaml", s["ExecStartPre"][0])
        self.assertIn("run -c /etc/segwatch/segwatch.yaml", s["ExecStart"][0])
        self.assertEqual(s["RestartPreventExitStatus"], ["64 78"])
        self.assertNotIn("LoadCredential", s, "only as an example")
        self.assertNotIn("@", s["ExecStart"][0])

    def test_user_and_folders(self):
        for folder in ("etc", "var/lib", "var/log"):
            (self.dir / folder).mkdir(parents=True)
        code, out = run("systemd-sysusers", f"--root={self.dir}", ROOT / "systemd/segwatch.sysusers")
        self.assertEqual(code, 0, out)
        row = [l for l in (self.dir / "etc/passwd").read_text().splitlines() if l.startswith("segwatch:")]
        self.assertEqual(len(row), 1)
        self.assertTrue(row[0].endswith("/nologin"), row[0])
        code, out = run("systemd-tmpfiles", f"--root={self.dir}", "--create", ROOT / "systemd/segwatch.tmpfiles")
        if os.geteuid() == 0:
            self.assertEqual((code, out), (0, ""))
        for wrong in ("Unknown", "Invalid", "ignoring", "Bad"):
            self.assertNotIn(wrong, out)
        for folder, mode in (("etc/segwatch/credentials", 0o700), ("var/log/segwatch", 0o750),
                             ("var/lib/segwatch", 0o750), ("etc/segwatch/conf.d", 0o755)):
            self.assertEqual(stat.S_IMODE((self.dir / folder).stat().st_mode), mode, folder)


if __name__ == "__main__":
    unittest.main()
