# SPDX-License-Identifier: Apache-2.0
"""Findings go through the outbox to the alert file: full disks, files moved and cut by others, what cannot be opened."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest

from daemon import SEGWATCH, Daemon

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))


def plain(line):
    """Without what differs by contract: when it was written, and that it is history."""
    line["metadata"].pop("logged_time", None)
    for place in (line, line["unmapped"], line["finding_info"]):
        place.pop("historic", None)
    return line


class Outbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        cls.addClassCleanup(cls.folder.cleanup)
        scenario = pathlib.Path(cls.folder.name, "scenario")
        subprocess.run([str(BUILD / "tests/gen_scenario"), "--hours", "6", "--hosts", "80", "--load", "30", "--attack",
                        "full", "--out", str(scenario)], check=True, timeout=60)
        cls.messages = scenario / "messages.ndjson"
        cls.rules = (scenario / "config.yaml").read_text()
        p = subprocess.run([SEGWATCH, "replay", "-c", str(scenario / "config.yaml"), "--summary", "-",
                            str(cls.messages)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=60)
        cls.records = json.loads(p.stderr.splitlines()[-1])["records"]
        cls.findings = [plain(json.loads(l)) for l in p.stdout.splitlines()]

    def setUp(self):
        self.dir = pathlib.Path(self.folder.name, self._testMethodName)
        (self.dir / "alerts").mkdir(parents=True)
        (self.dir / "state").mkdir()
        self.file = self.dir / "flows.ndjson"
        self.file.touch()
        self.config = self.dir / "segwatch.yaml"
        self.config.write_text(f"sources:\n  - {{name: f, kind: file, path: {self.file}, follow: true}}\n"
                               f"alerts: {{file: {self.dir}/alerts/alerts.jsonl, signals: false, "
                               f"quarantine: {self.dir}/quarantine.jsonl}}\nstate: {{dir: {self.dir}/state}}\n{self.rules}")

    def mount(self, path, size):
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
                                               stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no tmpfs can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(path)], check=True)

    def fill(self, path):
        """Takes all room there is."""
        with open(path / "hog", "wb", buffering=0) as f:
            try:
                while f.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        return path / "hog"

    def feed(self):
        with open(self.file, "ab") as f:
            f.write(self.messages.read_bytes())

    def lines(self, *suffixes):
        """Findings in the alert file and what it was renamed to, those first that are given first."""
        out = []
        for suffix in suffixes or ("",):
            path = self.dir / f"alerts/alerts.jsonl{suffix}"
            text = path.read_text() if path.exists() else ""
            out += [l for l in text.splitlines() if l.startswith("{") and l.endswith("}")]
        return [l for l in map(json.loads, out) if l["unmapped"]["kind"] != "health"]

    def wait_findings(self, d, *suffixes, seconds=25):
        d.wait_for(lambda: len(self.lines(*suffixes)) >= len(self.findings), "every finding", seconds)
        self.assertEqual([plain(l) for l in self.lines(*suffixes)], self.findings)

    def rows(self):
        db = sqlite3.connect(f"file:{self.dir}/state/outbox.db?mode=ro", uri=True)
        try:
            return [l for (l,) in db.execute("SELECT line FROM finding ORDER BY number")]
        finally:
            db.close()

    def test_rows_and_lines_are_the_same(self):
        d = Daemon(self, self.config)
        self.feed()
        self.wait_findings(d)
        self.assertEqual(self.rows(), (self.dir / "alerts/alerts.jsonl").read_text().splitlines(),
                         "anybody may read the outbox meanwhile")
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual((self.dir / "state/outbox.db").stat().st_mode & 0o7777, 0o600)
        self.assertEqual((self.dir / "alerts/alerts.jsonl").stat().st_mode & 0o7777, 0o640)

    def test_a_full_state_disk_stops_reading_and_loses_nothing(self):
        self.mount(self.dir / "state", "32m")
        d = Daemon(self, self.config)
        d.wait_log("event=start ")
        hog = self.fill(self.dir / "state")
        self.feed()
        d.wait_log("there is no room on its disk; no finding is lost")
        time.sleep(2)
        self.assertEqual(d.log().count("event=outbox_full"), 1, "it says so once")
        self.assertLess(len(self.lines()), len(self.findings))
        hog.unlink()
        self.wait_findings(d, seconds=10)
        self.assertIn("event=outbox_again", d.log())
        self.assertEqual(d.stop()[0], 0)

    def test_stops_while_the_state_disk_is_full_and_goes_on_after_a_restart(self):
        self.mount(self.dir / "state", "32m")
        d = Daemon(self, self.config)
        d.wait_log("event=start ")
        hog = self.fill(self.dir / "state")
        self.feed()
        d.wait_log("there is no room on its disk")
        code, seconds = d.stop()
        self.assertEqual(code, 0, d.log()[-2000:])
        self.assertLess(seconds, 5)
        hog.unlink()
        self.wait_findings(Daemon(self, self.config))

    def test_a_full_alert_disk_does_not_stop_reading(self):
        self.mount(self.dir / "alerts", "64k")
        d = Daemon(self, self.config, "--stats-ms", "300")
        d.wait_log("event=start ")
        hog = self.fill(self.dir / "alerts")
        self.feed()
        d.wait_log("findings wait in the outbox, none is lost")
        d.wait_for(lambda: d.records() == self.records, "everything read")
        d.wait_for(lambda: len(self.rows()) >= len(self.findings), "everything in the outbox")
        self.assertLess(len(self.lines()), len(self.findings))
        d.wait_log("a line of statistics waits, nothing else")
        self.assertNotIn("nothing is read from the sources", d.log())
        subprocess.run(["mount", "-o", "remount,size=64m", str(self.dir / "alerts")], check=True)
        hog.unlink()
        self.wait_findings(d, seconds=10)
        self.assertEqual(d.stop()[0], 0)

    def test_a_file_cut_by_a_copy_goes_on_at_its_start(self):
        d = Daemon(self, self.config)
        path = self.dir / "alerts/alerts.jsonl"
        lines = self.messages.read_bytes().splitlines(keepends=True)
        with open(self.file, "ab", buffering=0) as f:
            f.write(b"".join(lines[:len(lines) * 3 // 4]))
            d.wait_for(lambda: d.records() > 0 and self.lines(), "first findings")
            d.wait_for(lambda: self.settled(path), "a pause")
            shutil.copy(path, f"{path}.1")
            os.truncate(path, 0)
            f.write(b"".join(lines[len(lines) * 3 // 4:]))
        self.wait_findings(d, ".1", "")
        self.assertGreater(len(self.lines()), 0)
        self.assertEqual(d.stop()[0], 0)

    def settled(self, path):
        before = path.stat().st_size
        time.sleep(0.6)
        return path.stat().st_size == before

    def test_a_file_moved_and_written_into_while_it_was_stopped(self):
        """Also the end of a line that a crash tore: it is completed where it stands."""
        d = Daemon(self, self.config)
        self.feed()
        self.wait_findings(d)
        self.assertEqual(d.stop()[0], 0)
        path = self.dir / "alerts/alerts.jsonl"
        text = path.read_bytes()
        torn = text.rstrip(b"\n").rfind(b"\n") + 40 # into the last line
        db = sqlite3.connect(self.dir / "state/outbox.db")
        note, = db.execute("SELECT note FROM sink WHERE name = 'alerts'").fetchone()
        whole = text[:text.rstrip(b"\n").rfind(b"\n") + 1]
        kept = tempfile.NamedTemporaryFile(dir=self.dir)
        kept.write(whole)
        kept.flush()
        # the mark as it was before the last line: what a kill between write and mark leaves
        fields = note.decode().split()
        fields[2:] = [str(len(whole)), self.tail_hash(whole)]
        with db:
            db.execute("UPDATE sink SET marked = marked - 1, note = ? WHERE name = 'alerts'", (" ".join(fields).encode(),))
        db.close()
        os.truncate(path, torn)
        os.rename(path, f"{path}-20260101")
        d = Daemon(self, self.config)
        d.wait_log("torn and is complete now")
        self.assertEqual(pathlib.Path(f"{path}-20260101").read_bytes(), text)
        self.assertEqual(path.read_bytes(), b"")
        self.assertEqual(d.stop()[0], 0)

    @staticmethod
    def tail_hash(data):
        """SipHash-1-3 under a key of zeros of the last 256 bytes, as the mark has it."""
        mask = (1 << 64) - 1
        data = data[-256:]

        def rotate(x, n):
            return (x << n | x >> (64 - n)) & mask

        def rounds(v, n):
            a, b, c, d = v
            for _ in range(n):
                a = (a + b) & mask
                c = (c + d) & mask
                b, d = rotate(b, 13) ^ a, rotate(d, 16) ^ c
                a = rotate(a, 32)
                c = (c + b) & mask
                a = (a + d) & mask
                b, d = rotate(b, 17) ^ c, rotate(d, 21) ^ a
                c = rotate(c, 32)
            return [a, b, c, d]
        v = [0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573]
        padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xff])
        for i in range(0, len(padded), 8):
            w = int.from_bytes(padded[i:i + 8], "little")
            v[3] ^= w
            v = rounds(v, 1)
            v[0] ^= w
        v[2] ^= 0xff
        v = rounds(v, 3)
        return f"{v[0] ^ v[1] ^ v[2] ^ v[3]:016x}"

    def resend(self, *options):
        p = subprocess.run([SEGWATCH, "resend", "-c", str(self.config), *options], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=20)
        return p.returncode, p.stderr.decode()

    def test_resend(self):
        """While the daemon runs and while it does not; what is asked for comes again, in order."""
        self.assertEqual(self.resend("--to", "alerts", "--since", "1h")[0], 1, "there is no outbox yet")
        self.assertFalse((self.dir / "state/outbox.db").exists())
        d = Daemon(self, self.config)
        self.feed()
        self.wait_findings(d)
        once = (self.dir / "alerts/alerts.jsonl").read_text()
        n = len(once.splitlines())
        self.assertEqual(self.resend("--to", "alerts", "--since", "1h"),
                         (0, f"{n} findings will be sent again to alerts\n"))
        d.wait_for(lambda: (self.dir / "alerts/alerts.jsonl").read_text() == once * 2, "all of them again", 10)
        self.assertEqual(self.resend("--to", "alerts", "--since", "2099-01-01T00:00:00Z")[0], 0, "none is a result")
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(self.resend("--to", "alerts", "--since", "1h")[0], 0)
        d = Daemon(self, self.config)
        d.wait_for(lambda: (self.dir / "alerts/alerts.jsonl").read_text() == once * 3, "and again", 10)
        code, text = self.resend("--to", "nowhere", "--since", "1h")
        self.assertEqual(code, 1)
        self.assertIn("there is no output 'nowhere'; there are: alerts", text)
        self.assertEqual(self.resend("--to", "alerts")[0], 64)
        self.assertEqual(self.resend("--to", "alerts", "--since", "soon")[0], 64)

    def refuses(self, *words):
        p = subprocess.run([SEGWATCH, "run", "-c", str(self.config)], stderr=subprocess.PIPE, timeout=20)
        self.assertEqual(p.returncode, 1, p.stderr)
        for word in words:
            self.assertIn(word, p.stderr.decode())

    def test_what_cannot_be_opened_says_what_to_do(self):
        path = self.dir / "state/outbox.db"
        d = Daemon(self, self.config)
        d.wait_log("event=start ")
        self.assertEqual(d.stop()[0], 0)
        db = sqlite3.connect(path)
        with db:
            db.execute("PRAGMA user_version=77")
        db.close()
        self.refuses("newer segwatch (format 77", "move")
        data = bytearray(path.read_bytes())
        data[0:100] = bytes(100)
        path.write_bytes(data)
        self.refuses("is damaged", f"move {path}* away")
        for p in path.parent.glob("outbox.db*"):
            p.unlink()
        d = Daemon(self, self.config)
        d.wait_log("event=start ")
        self.assertEqual(d.stop()[0], 0)


if __name__ == "__main__":
    unittest.main()
