# SPDX-License-Identifier: Apache-2.0
"""The daemon reads files: the same findings as replay, what is appended, rotation, truncation, restarts without a gap."""
import gzip
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest
import zlib

from daemon import SEGWATCH, Daemon, places

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))


def plain(lines):
    """Without what differs by contract: when it was written, and that it is history."""
    out = []
    for line in lines:
        line = json.loads(json.dumps(line))
        line["metadata"].pop("logged_time", None)
        for place in (line, line["unmapped"], line["finding_info"]):
            place.pop("historic", None)
        out.append(line)
    return out


class RunFile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.scenario = pathlib.Path(cls.folder.name, "scenario")
        subprocess.run([str(BUILD / "tests/gen_scenario"), "--hours", "6", "--hosts", "80", "--load", "30", "--attack",
                        "full", "--out", str(cls.scenario)], check=True, timeout=60)
        cls.file = cls.scenario / "messages.ndjson"
        cls.lines = cls.file.read_bytes().splitlines(keepends=True)
        cls.rules = (cls.scenario / "config.yaml").read_text()
        p = subprocess.run([SEGWATCH, "replay", "-c", str(cls.scenario / "config.yaml"), "--summary", "-", str(cls.file)],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=60)
        cls.summary = json.loads(p.stderr.splitlines()[-1])
        cls.findings = [json.loads(l) for l in p.stdout.splitlines()]

    def setUp(self):
        self.dir = pathlib.Path(self.folder.name, self._testMethodName)
        self.dir.mkdir()
        self.path = self.dir / "flows.ndjson"

    def config(self, follow=True, path=None, more=""):
        """A source `f` and the scenario's segments and policy."""
        file = self.dir / "segwatch.yaml"
        file.write_text(f"sources:\n  - {{name: f, kind: file, path: {path or self.path}, follow: {str(follow).lower()}}}\n"
                        f"{more}alerts: {{file: {self.dir}/alerts.jsonl}}\nstate: {{dir: {self.dir}/state}}\n{self.rules}")
        return file

    def alerts(self, health=False):
        path = self.dir / "alerts.jsonl"
        lines = [json.loads(l) for l in path.read_text().splitlines()] if path.exists() else []
        return [l for l in lines if (l["unmapped"]["kind"] == "health") == health]

    def place(self):
        """(inode, byte) that a restart goes on at."""
        r = places(self.dir / "segwatch.yaml").get(("f", 0), {})
        return r.get("inode", 0), r.get("next", -1)

    def append(self, data, path=None):
        with open(path or self.path, "ab") as f:
            f.write(data)

    def count(self, data):
        """Records in it, says replay."""
        p = subprocess.run([SEGWATCH, "replay", "-q", "--summary", "-", "-"], input=data, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, timeout=60)
        return json.loads(p.stderr.splitlines()[-1])["records"]

    def quarantine(self):
        path = self.dir / "quarantine.jsonl"
        return path.read_text() if path.exists() else ""

    def check_as_replay(self, path, follow):
        d = Daemon(self, self.config(follow, path))
        d.wait_for(lambda: d.records() == self.summary["records"] and len(self.alerts()) >= len(self.findings),
                   "everything read and found")
        code, seconds = d.stop()
        self.assertEqual(code, 0, d.log()[-2000:])
        self.assertLess(seconds, 5)
        self.assertGreater(len(self.findings), 5)
        self.assertEqual(plain(self.alerts()), plain(self.findings))
        self.assertEqual(self.quarantine(), "")
        self.assertIn(" lag 0, 1 of 1 partitions at their end", d.log())
        return d

    @unittest.skipIf(os.geteuid() != 0, "mounting a small tmpfs needs root")
    def test_stops_though_the_disk_is_full_and_a_reload_was_asked_for(self):
        disk = self.dir / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no tmpfs can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        self.append(b"".join(self.lines))
        config = self.config()
        config.write_text(config.read_text().replace(f"{self.dir}/alerts.jsonl", f"{disk}/alerts.jsonl"))
        d = Daemon(self, config)
        d.wait_log("nothing is read from the sources until there is room again")
        time.sleep(0.5)
        d.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        code, seconds = d.stop()
        self.assertEqual(code, 0, d.log()[-2000:])
        self.assertLess(seconds, 5)

    def test_a_reload_asked_for_too_early_does_not_end_it(self):
        """SIGHUP and SIGUSR1 wait until they can be answered, from the moment on that SIGPIPE is ignored."""
        self.path.touch()
        config = self.config()
        for _ in range(5):
            d = Daemon(self, config)
            status = pathlib.Path(f"/proc/{d.process.pid}/status")
            while d.process.poll() is None:
                ignored = int(re.search(r"^SigIgn:\s*(\w+)", status.read_text(), re.M)[1], 16)
                if ignored & 1 << (signal.SIGPIPE - 1):
                    break
            d.process.send_signal(signal.SIGUSR1)
            d.process.send_signal(signal.SIGHUP)
            d.wait_log("the new configuration is in force")
            self.assertEqual(d.stop()[0], 0)

    def test_findings_of_a_file_are_those_of_replay(self):
        d = self.check_as_replay(self.file, follow=False)
        self.assertIn(f"reading {self.file} from byte 0", d.log())

    def test_findings_of_a_gzip_file_are_those_of_replay(self):
        path = self.dir / "flows.ndjson.gz"
        path.write_bytes(gzip.compress(self.file.read_bytes(), 1))
        self.check_as_replay(path, follow=False)
        inode, byte = self.place()
        self.assertEqual(inode, path.stat().st_ino)
        self.assertGreater(byte, path.stat().st_size, "a position counts inflated bytes")
        d = Daemon(self, self.config(False, path))
        d.wait_log("1 of 1 partitions at their end")
        self.assertIn(f"reading {path} from byte {byte}", d.log())
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(self.quarantine(), "")

    def test_findings_over_several_files_are_those_of_replay(self):
        """Each NIC writes to one of three files; nobody runs ahead of the others."""
        parts = [[], [], []]
        for line in self.lines:
            m = re.search(rb'"macAddress":"(\w+)"', line)
            parts[zlib.crc32(m.group(1)) % 3 if m else 0].append(line)
        for i, part in enumerate(parts):
            (self.dir / f"{i}.ndjson").write_bytes(b"".join(part))
        more = "".join(f"  - {{name: g{i}, kind: file, path: {self.dir}/{i}.ndjson}}\n" for i in (1, 2))
        d = Daemon(self, self.config(follow=True, path=self.dir / "0.ndjson", more=more))
        d.wait_for(lambda: len(self.alerts()) >= len(self.findings), "everything found")
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(plain(self.alerts()), plain(self.findings))
        self.assertRegex(d.log(), " 0 late, 0 too late")

    def test_a_followed_file_brings_what_is_appended(self):
        self.path.write_bytes(b"")
        d = Daemon(self, self.config())
        n = len(self.lines)
        cut = len(self.lines[n // 2]) // 2
        self.append(b"".join(self.lines[:n // 2]) + self.lines[n // 2][:cut])
        d.wait_for(lambda: d.records() > 100, "the first half read")
        before = d.records()
        time.sleep(1.2)  # two looks at half a line
        self.assertEqual(self.quarantine(), "")
        self.append(self.lines[n // 2][cut:])
        d.wait_for(lambda: d.records() > before, "the line that is complete now")
        self.append(b"".join(self.lines[n // 2 + 1:]))
        d.wait_for(lambda: d.records() == self.summary["records"] and len(self.alerts()) >= len(self.findings),
                   "everything read and found")
        self.assertEqual(plain(self.alerts()), plain(self.findings))
        code, seconds = d.stop()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 5)
        self.assertEqual(self.quarantine(), "")

    def test_rotation_and_truncation_are_survived(self):
        n = len(self.lines)
        parts = [b"".join(self.lines[i * n // 4:(i + 1) * n // 4]) for i in range(4)]
        self.path.write_bytes(parts[0])
        d = Daemon(self, self.config())
        d.wait_log("1 of 1 partitions at their end")
        writer = open(self.path, "ab")  # goes on writing into the renamed file for a while
        self.addCleanup(writer.close)
        os.rename(self.path, self.dir / "flows.ndjson.1")
        writer.write(parts[1])
        writer.flush()
        self.path.write_bytes(parts[2])
        d.wait_log("event=tail_rotated")
        d.wait_for(lambda: self.place()[0] == self.path.stat().st_ino, "a position in the new file")
        whole = 3 * n // 4
        before = self.count(b"".join(self.lines[:whole]))
        d.wait_for(lambda: d.records() == before, f"everything so far read: {before} records")
        with open(self.path, "r+b") as f:  # copytruncate
            f.truncate(0)
        d.wait_log("event=tail_cut_off")
        self.append(parts[3])
        d.wait_for(lambda: d.records() == self.summary["records"] and len(self.alerts()) >= len(self.findings),
                   "everything read and found")
        self.assertEqual(plain(self.alerts()), plain(self.findings))
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(self.quarantine(), "")

    def test_a_restart_reads_on_without_a_gap(self):
        n = len(self.lines)
        self.path.write_bytes(b"".join(self.lines[:n // 2]))
        config = self.config()
        d = Daemon(self, config)
        d.wait_for(lambda: "1 of 1 partitions at their end" in d.log(), "the first half read")
        half = self.count(b"".join(self.lines[:n // 2]))
        d.wait_for(lambda: d.records() == half, "the first half folded: a stop leaves the rest for the next start")
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(self.place(), (self.path.stat().st_ino, self.path.stat().st_size))
        self.append(b"".join(self.lines[n // 2:]))
        d = Daemon(self, config)
        d.wait_for(lambda: len(self.alerts()) >= len(self.findings), "everything found")
        d.wait_for(lambda: self.place()[1] == self.path.stat().st_size, "everything read")
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(plain(self.alerts()), plain(self.findings), "as if there had been no restart")
        self.assertEqual(self.quarantine(), "")

    def test_a_file_renamed_while_the_daemon_was_down_is_read_to_its_end_first(self):
        n = len(self.lines)
        self.path.write_bytes(b"".join(self.lines[:n // 2]))
        config = self.config()
        d = Daemon(self, config)
        d.wait_log("1 of 1 partitions at their end")
        d.stop()
        first, (_, byte) = d.records(), self.place()
        self.append(b"".join(self.lines[n // 2:3 * n // 4]))
        os.rename(self.path, self.dir / "flows.1")
        self.path.write_bytes(b"".join(self.lines[3 * n // 4:]))
        d = Daemon(self, config)
        d.wait_log("event=tail_rotated")
        d.wait_for(lambda: self.place()[0] == self.path.stat().st_ino, "a position in the new file")
        self.assertIn(f"its rest first, from byte {byte}", d.log())
        d.wait_for(lambda: d.records() + first >= self.summary["records"], "everything read")
        self.assertEqual(d.stop()[0], 0)

    def test_another_or_a_shorter_file_is_read_from_its_start(self):
        self.path.write_bytes(b"".join(self.lines))
        config = self.config()
        d = Daemon(self, config)
        d.wait_for(lambda: self.place()[1] > self.path.stat().st_size // 2, "released")
        d.stop()
        with open(self.path, "r+b") as f:
            f.truncate(len(self.lines[0]))
        d = Daemon(self, config)
        d.wait_log("event=tail_restart")
        self.assertRegex(d.log(), "has [0-9]+ bytes and was read up to byte [0-9]+")
        d.wait_for(lambda: d.records() > 0, "its first line")
        d.stop()
        keep = open(self.path, "rb")  # or its inode would be used again
        self.addCleanup(keep.close)
        os.unlink(self.path)
        self.path.write_bytes(b"".join(self.lines))
        d = Daemon(self, config)
        d.wait_log("is another file than the one that was read up to byte")
        d.wait_for(lambda: d.records() == self.summary["records"], "all of it")
        self.assertEqual(d.stop()[0], 0)

    def test_a_file_that_comes_later_and_one_that_is_none(self):
        fifo = self.dir / "fifo"
        os.mkfifo(fifo)
        d = Daemon(self, self.config(more=f"  - {{name: g, kind: file, path: {fifo}, follow: true}}\n"), "--quiet-ms", "1500")
        d.wait_log("No such file or directory; it is tried again")
        self.assertIn("is not a regular file", d.log())
        d.wait_for(lambda: len(self.alerts(health=True)) == 2, "health findings")
        self.assertTrue(all("cannot be read" in a["message"] for a in self.alerts(health=True)))
        self.path.write_bytes(b"".join(self.lines))
        d.wait_log(f"reading {self.path} from byte 0")
        d.wait_log("can be read again")
        d.wait_for(lambda: str(self.summary["records"]) + " records" in d.log(), "all of it")
        code, seconds = d.stop()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 5)

    def test_what_is_no_json_is_counted_with_its_place(self):
        data = self.lines[0] + b"nonsense\n" + self.lines[1]
        self.path.write_bytes(data)
        d = Daemon(self, self.config(follow=False))
        d.wait_for(lambda: self.quarantine().count("\n") == 1, "one line of quarantine")
        bad = json.loads(self.quarantine())
        self.assertEqual((bad["source"], bad["file"]), ("f", str(self.path)))
        self.assertEqual(bad["byte"], len(self.lines[0]))
        self.assertEqual(d.stop()[0], 0)

    def test_a_folder_is_refused_with_a_hint(self):
        p = subprocess.run([SEGWATCH, "check", "-c", str(self.config(path=self.dir))], stderr=subprocess.PIPE, timeout=20)
        self.assertEqual(p.returncode, 78)
        self.assertRegex(p.stderr.decode(), r"segwatch.yaml:2:\d+: .*is a folder: .*segwatch replay")

    def test_stopping_while_reading_is_quick(self):
        self.path.write_bytes(b"".join(self.lines) * 3)
        config = self.config()
        read = 0
        for _ in range(4):
            d = Daemon(self, config)
            d.wait_for(lambda: d.records() > 0, "something read")
            code, seconds = d.stop()
            self.assertEqual(code, 0, d.log()[-2000:])
            self.assertLess(seconds, 5)
            before, read = read, self.place()[1]
            self.assertGreater(read, before)
            if read == self.path.stat().st_size:
                break


if __name__ == "__main__":
    unittest.main()
