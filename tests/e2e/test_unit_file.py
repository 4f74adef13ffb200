#!/usr/bin/env python3
"""The systemd files: hardening, syntax, the user and the folders they make."""
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import tempfile
import time
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

    def test_exposure_is_at_most_1_3(self):
        code, out = run("systemd-analyze", "security", "--offline=true", "--threshold=13", UNIT)
        self.assertEqual(code, 0, out)
        self.assertIn("Overall exposure level", out)

    def test_the_pages_it_names_are_there(self):
        pages = [w[4:-3] + "." + w[-2] for l in UNIT.read_text().splitlines() if l.startswith("Documentation=")
                 for w in l.split("=", 1)[1].split()]
        self.assertEqual(len(pages), 3)
        for page in pages:
            self.assertTrue((BUILD / "docs" / page).exists() or (ROOT / "docs/man" / page).exists(), page)

    def test_an_unprotected_unit_would_not_pass(self):
        """The gate can fail: the same unit without its hardening does."""
        bare = self.dir / "segwatch.service"
        bare.write_text("[Service]\nExecStart=/bin/true\n")
        code, _ = run("systemd-analyze", "security", "--offline=true", "--threshold=13", bare)
        self.assertNotEqual(code, 0)

    def test_unit_verifies(self):
        unit = self.dir / "segwatch.service"
        text = UNIT.read_text()
        for line in text.splitlines():
            if line.startswith("Exec") and not line.startswith("ExecReload=/bin/kill "):
                path = line.split("=", 1)[1].lstrip("-").split()[0]
                self.assertTrue(path.endswith("/segwatch") and path.startswith("/"), line)
                text = text.replace(path + " ", str(PROGRAM.resolve()) + " ")
        unit.write_text(text)
        code, out = run("systemd-analyze", "verify", "--man=no", unit)
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
        self.assertIn("check -c /etc/segwatch/segwatch.yaml", s["ExecReload"][0])
        self.assertEqual(s["ExecReload"][1:], ["/bin/kill -HUP $MAINPID"])
        self.assertTrue(s["ExecStartPre"][0].startswith("-"), "only the main process' exit code 78 prevents a restart")
        self.assertEqual(s["Restart"], ["on-failure"])
        self.assertNotIn("75", s["RestartPreventExitStatus"][0].split())
        restart, burst = int(s["RestartSec"][0]), int(s["StartLimitBurst"][0])
        self.assertEqual(s["StartLimitIntervalSec"], ["1h"])
        self.assertTrue(600 <= restart * burst < 3600, "a crash loop ends within the hour, an outage of minutes does not")
        self.assertEqual(s["WatchdogSec"], ["60"])

    def notified(self, seconds, **env):
        """What the daemon tells systemd in its first seconds, with an empty file as its source."""
        (self.dir / "in").write_text("")
        (self.dir / "c.yaml").write_text(
            f"sources:\n- {{name: f, kind: file, path: {self.dir}/in, follow: true}}\n"
            f"alerts: {{file: {self.dir}/alerts.jsonl}}\nstate: {{dir: {self.dir}/state}}\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(str(self.dir / "notify"))
            s.settimeout(0.2)
            p = subprocess.Popen([PROGRAM, "run", "-c", self.dir / "c.yaml"], stderr=subprocess.DEVNULL,
                                 env=dict(os.environ, NOTIFY_SOCKET=str(self.dir / "notify"), **env))
            heard, until = [], time.monotonic() + seconds
            try:
                while time.monotonic() < until and "WATCHDOG=1" not in heard:
                    try:
                        heard.append(s.recv(4096).decode())
                    except socket.timeout:
                        pass
            finally:
                p.terminate()
                p.wait(timeout=30)
        return heard

    def test_watchdog_is_pinged_when_it_is_on(self):
        heard = self.notified(20, WATCHDOG_USEC="60000000")
        self.assertIn("READY=1", heard)
        self.assertIn("WATCHDOG=1", heard)

    def test_watchdog_of_another_process_is_not_pinged(self):
        heard = self.notified(3, WATCHDOG_USEC="60000000", WATCHDOG_PID="1")
        self.assertIn("READY=1", heard)
        self.assertNotIn("WATCHDOG=1", heard)

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
