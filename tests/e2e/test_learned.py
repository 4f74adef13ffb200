# SPDX-License-Identifier: Apache-2.0
"""What was learned from history: replay --save-state, replay --load-state, and a daemon that begins with it."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from daemon import SEGWATCH, Daemon, state

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build-test"))


def findings(text):
    return [json.loads(line) for line in text.splitlines()]


def incidents(text):
    return {f["finding_info"]["uid"] for f in findings(text) if f["unmapped"]["kind"] == "incident"}


class Learned(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name)
        subprocess.run([BUILD / "tests/gen_scenario", "--seed", "5", "--hours", "30", "--hosts", "60", "--attack", "full",
                        "--partitions", "1", "--out", cls.root], check=True, stderr=subprocess.DEVNULL)
        cls.config = cls.root / "config.yaml"
        lines = (cls.root / "messages.ndjson").read_text().splitlines(keepends=True)
        cut = len(lines) * 3 // 4  # the attack comes later
        (cls.root / "history.ndjson").write_text("".join(lines[:cut]))
        (cls.root / "later.ndjson").write_text("".join(lines[cut:]))

    def replay(self, *args, code=0):
        p = subprocess.run([SEGWATCH, "replay", "-q", "-c", str(self.config), *map(str, args)], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(p.returncode, code, p.stderr.decode())
        return p.stdout.decode() if code == 0 else p.stderr.decode()

    def test_what_history_taught_is_used_and_told_only_once(self):
        saved = self.root / "saved"
        whole = self.replay(self.root / "messages.ndjson")
        history = self.replay("--save-state", saved, self.root / "history.ndjson")
        self.assertEqual(os.listdir(saved), ["learned"])
        self.assertEqual((saved / "learned").stat().st_mode & 0o777, 0o600)
        blind = self.replay(self.root / "later.ndjson")
        later = self.replay("--load-state", saved, self.root / "later.ndjson")
        both = self.replay("--load-state", saved, self.root / "messages.ndjson")
        self.assertTrue(incidents(whole) - incidents(history))
        self.assertEqual(incidents(later), incidents(whole) - incidents(history), "as if history had been replayed")
        self.assertEqual(incidents(both), incidents(later), "history again raises nothing")
        self.assertNotEqual(blind, later, "without it detectors are still learning")

    def test_it_can_be_added_to(self):
        saved = self.root / "twice"
        self.replay("--save-state", saved, self.root / "history.ndjson")
        first = (saved / "learned").stat().st_size
        self.replay("--load-state", saved, "--save-state", saved, self.root / "later.ndjson")
        self.assertGreater((saved / "learned").stat().st_size, first)
        self.assertEqual(self.replay("--load-state", saved, self.root / "messages.ndjson"), "", "all of it is known")

    def test_wrong_files_are_refused_with_a_word(self):
        empty = self.root / "empty"
        empty.mkdir()
        self.assertIn("nothing was saved there", self.replay("--load-state", empty, self.root / "later.ndjson", code=1))
        (empty / "learned").write_bytes(b"segwatch but not really a snapshot")
        self.assertIn("snapshot", self.replay("--load-state", empty, self.root / "later.ndjson", code=1))
        taken = self.root / "taken"
        taken.write_text("a file")
        self.assertIn("taken", self.replay("--save-state", taken, self.root / "later.ndjson", code=1))

    def test_where_nobody_would_read_it_nothing_is_saved_and_nothing_is_done_first(self):
        state = self.root / "state of a daemon"
        state.mkdir()
        (state / "outbox.db").touch()
        for args, why in ((("--save-state", state), "a daemon has its state there"),
                          (("--summary", self.root / "nowhere" / "s.json"), "No such file")):
            p = subprocess.run([SEGWATCH, "replay", *map(str, args), str(self.root / "later.ndjson")],
                               capture_output=True, text=True, timeout=60)
            self.assertEqual((p.returncode, p.stdout), (1, ""))
            self.assertIn(why, p.stderr)
            self.assertNotIn("records", p.stderr, "told before the work, not after it")

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a file away")
    def test_what_root_saves_in_the_folder_of_the_daemon_is_the_daemons(self):
        home = self.root / "owned"
        home.mkdir()
        os.chown(home, 65534, 65534)
        self.replay("--save-state", home, self.root / "later.ndjson")
        st = (home / "learned").stat()
        self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o777), (65534, 65534, 0o600))

    def test_a_daemon_begins_with_it(self):
        home = self.root / "home"
        self.replay("--save-state", home, self.root / "history.ndjson")
        (self.root / "live.ndjson").write_bytes((self.root / "messages.ndjson").read_bytes())
        config = self.root / "run.yaml"
        alerts = self.root / "alerts.jsonl"
        config.write_text(self.config.read_text() + f"state: {{dir: {home}}}\nalerts: {{file: {alerts}}}\n"
                          f"sources:\n  - {{name: f, kind: file, path: {self.root}/live.ndjson, follow: false}}\n")
        want = incidents(self.replay("--load-state", home, self.root / "later.ndjson"))
        d = Daemon(self, config)
        d.wait_log("baselines learned until")
        self.assertTrue(want)
        read = lambda: incidents(alerts.read_text() if alerts.exists() else "")
        d.wait_for(lambda: want <= read(), "its findings", 60)
        self.assertEqual(read(), want)
        self.assertEqual(d.stop()[0], 0)
        again = Daemon(self, config)
        again.wait_log("state of release")
        again.wait_for(lambda: "event=stats" in again.log(), "statistics")
        self.assertNotIn("baselines learned until", again.log(), "its own snapshots count from now on")
        self.assertEqual(again.stop()[0], 0)


if __name__ == "__main__":
    unittest.main()
