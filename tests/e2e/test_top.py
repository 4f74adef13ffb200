# SPDX-License-Identifier: Apache-2.0
"""`segwatch top` in a pipe and on a terminal, and the line of statistics a minute."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import fcntl
import threading
import time
import unittest

from daemon import SEGWATCH, Daemon

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))


class Top(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.socket = self.dir / "s.sock"

    def start(self):
        subprocess.run([str(BUILD / "tests/gen_scenario"), "--hours", "6", "--hosts", "80", "--load", "30", "--attack",
                        "full", "--out", str(self.dir / "s")], check=True, timeout=60, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        file = self.dir / "segwatch.yaml"
        file.write_text(f"sources:\n  - {{name: f, kind: file, path: {self.dir}/s/messages.ndjson, follow: true}}\n"
                        f"alerts: {{file: {self.dir}/alerts.jsonl}}\nstate: {{dir: {self.dir}/state}}\n"
                        f"admin: {{socket: {self.socket}, http: none}}\n" + (self.dir / "s/config.yaml").read_text())
        d = Daemon(self, file)
        d.wait_for(self.socket.exists, "the socket")
        d.wait_for(lambda: "12745 records" in d.log(), "all is read")
        time.sleep(1.2)
        return d

    def top(self, *args, env=None):
        return subprocess.run([SEGWATCH, "top", "-s", str(self.socket), *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=40, text=True, env=dict(os.environ, **(env or {})))

    def on_terminal(self, seconds, *args, env=None, rows=40, columns=120):
        """What reaches a terminal until Ctrl-C, and the exit code."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        p = subprocess.Popen([SEGWATCH, "top", "-s", str(self.socket), *args], stdin=slave, stdout=slave, stderr=slave,
                             env={**os.environ, "TERM": "xterm", **(env or {})})
        os.close(slave)
        out, end, told = b"", time.monotonic() + seconds, False
        while True:
            if time.monotonic() > end and not told:
                p.send_signal(signal.SIGINT)
                told = True
            if select.select([master], [], [], 0.1)[0]:
                try:
                    out += os.read(master, 65536)
                except OSError:
                    break
            elif p.poll() is not None:
                break
        os.close(master)
        return p.wait(10), out.decode()

    def test_a_pipe_gets_one_look_without_escapes(self):
        self.start()
        for args in ([], ["--once"]):
            p = self.top(*args)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.assertNotIn("\x1b", p.stdout)
            self.assertRegex(p.stdout, r"(?m)^segwatch \S+  up .* ok  watermark 2026-03-02T")
            self.assertRegex(p.stdout, r"(?m)^  f +reading ")
            self.assertRegex(p.stdout, r"tuples 34634")
            self.assertRegex(p.stdout, r"(?m)^  NEWEST FINDINGS\n  2026-\S+ +(High|Medium|Critical) +(create|update|close) +\S+")
            self.assertRegex(p.stdout, r"(?m)^  \S+ +\S+ +\d+ +\d+ +[\d.]+ \w+ +\d+ > \d+$")
        self.assertIn("\x1b[32mok", self.top("--once", "--color", "always").stdout)

    def test_a_terminal_is_redrawn_and_left_as_it_was(self):
        d = self.start()
        code, out = self.on_terminal(2.6)
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith("\x1b[?1049h\x1b[?25l") and out.endswith("\x1b[?25h\x1b[?1049l"), out[-40:])
        self.assertGreaterEqual(out.count("\x1b[H"), 2, "once a second")
        self.assertIn("\x1b[32mok", out)
        self.assertRegex(out, r"tuples 34634 \(0/s\)", "rates from the second look on")
        code, out = self.on_terminal(1.2, env={"NO_COLOR": "1"}, rows=8, columns=50)
        self.assertNotRegex(out, r"\x1b\[\d*m")
        screen = out.split("\x1b[H")[1]
        lines = re.sub(r"\x1b\[[?\d]*[a-zA-Z]", "", screen).split("\r\n")
        self.assertLessEqual(len(lines), 8)
        self.assertTrue(all(len(l) <= 50 for l in lines), lines)
        code, out = self.on_terminal(5, env={"TERM": "dumb"})
        self.assertEqual(code, 0)
        self.assertNotIn("\x1b", out, "what cannot be controlled gets one look")
        d.stop()
        code, out = self.on_terminal(1.2)
        self.assertIn("cannot be reached", out)

    def test_what_a_daemon_says_cannot_drive_the_terminal(self):
        evil = "\x1b]0;pwned\x07\x1b[2J\u009b31m\u202eabc"
        status = {"ok": True, "command": "status", "result": {
            "version": evil, "state": evil, "reasons": [evil], "watermark": evil,
            "findings": {"recent": [{"time": evil, "severity": evil, "message": evil}]},
            "sources": [{"name": evil, "state": evil, "last_record": evil}], "tables": [], "engine": {},
            "top_pairs": [{"from": evil, "to": evil}]}}
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(self.socket))
            s.listen()

            def serve():
                c, _ = s.accept()
                with c, c.makefile("rwb") as f:
                    for _ in f:
                        f.write(json.dumps(status).encode() + b"\n")
                        f.flush()
            t = threading.Thread(target=serve, daemon=True)
            t.start()
            p = self.top("--once", "--color", "never")
            t.join(5)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("\\x1b]0;pwned\\x07", p.stdout)
        self.assertFalse(set(p.stdout) & set("\x1b\x07\u009b\u202e"), "nothing raw")

    def test_nobody_there(self):
        p = self.top("--once")
        self.assertEqual((p.returncode, p.stdout), (75, ""))
        self.assertIn("is the daemon running?", p.stderr)
        for args in (["now"], ["-n", "0"], ["-n", "x"], ["--color", "red"], ["-c", "a"]):
            self.assertEqual(self.top(*args).returncode, 64, args)

    def test_statistics_are_lines_of_json(self):
        d = self.start()
        path = self.dir / "stats.jsonl"
        d.wait_for(lambda: path.exists() and path.read_text().count("\n") > 3, "lines")
        self.assertEqual(d.stop()[0], 0)
        lines = [json.loads(l) for l in path.read_text().splitlines()]
        last = lines[-1]
        self.assertEqual((last["engine"]["records"], last["sources"][0]["name"]), (12745, "f"))
        self.assertEqual([l["uptime_ms"] for l in lines], sorted(l["uptime_ms"] for l in lines))
        self.assertEqual({l["pid"] for l in lines}, {d.process.pid})


if __name__ == "__main__":
    unittest.main()
