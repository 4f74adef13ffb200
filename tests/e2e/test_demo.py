"""`segwatch demo` shows a whole attack being found by the real daemon over the Kafka protocol, cleans up after itself,
and what --keep leaves behind replays to the same incident."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))
SEGWATCH = os.environ.get("SEGWATCH", str(BUILD / "daemon/segwatch"))


def incidents(lines):
    """uid -> (actor, detectors) of the last line of each incident."""
    found = {}
    for line in lines:
        finding = json.loads(line)
        own = finding["unmapped"]
        if own["kind"] == "incident":
            found[finding["finding_info"]["uid"]] = (own["actor"], sorted(own.get("detectors", [])))
    return found


def children_of(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE).stdout
    return [int(p) for p in out.split()]


class Demo(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="segwatch-test-demo-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def test_the_attack_is_found_and_the_kept_files_replay_to_the_same_incident(self):
        keep = self.dir / "keep"
        began = time.monotonic()
        p = subprocess.run([SEGWATCH, "demo", "--fast", "--keep", keep], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=180, text=True)
        took = time.monotonic() - began
        self.assertEqual(p.returncode, 0, p.stdout[-3000:] + p.stderr[-3000:])
        self.assertLess(took, 60)
        self.assertIn("PASS", p.stdout)
        self.assertNotIn("NOT found", p.stdout)
        for step in "entry", "scan", "denied", "fan-out", "pivot":
            self.assertRegex(p.stdout, rf"\d\. {re.escape(step)} ")
        self.assertLess(float(re.search(r"first finding after ([\d.]+) s", p.stdout)[1]), 10)
        live = incidents((keep / "alerts.jsonl").read_text().splitlines())
        again = subprocess.run([SEGWATCH, "replay", "-c", keep / "segwatch.yaml", keep / "messages.ndjson"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, text=True)
        replayed = incidents(again.stdout.splitlines())
        self.assertTrue(live)
        for uid, story in live.items():
            self.assertEqual(replayed.get(uid), story, uid)
        truth = json.loads((keep / "truth.json").read_text())
        self.assertTrue({step["actor"] for step in truth["steps"]} & {actor for actor, _ in live.values()})

    def test_the_readme_shows_what_it_prints(self):
        p = subprocess.run([SEGWATCH, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180, text=True)
        self.assertEqual(p.returncode, 0, p.stdout[-3000:] + p.stderr[-3000:])
        readme = (ROOT / "README.md").read_text()
        shown = readme[readme.index("What was hidden"):readme.index("\n```", readme.index("What was hidden"))]
        printed = p.stdout[p.stdout.index("What was hidden"):].rstrip("\n")
        timeless = lambda text: re.sub(r"[\d.]+ s\b", "N s", text)
        self.assertEqual(timeless(shown), timeless(printed))
        took, first = map(float, re.search(r"in ([\d.]+) s \(first finding after ([\d.]+) s", printed).groups())
        self.assertLess(first, took + 5, "both count from the start of the daemon")

    def test_ctrl_c_ends_children_and_removes_the_folder(self):
        before = set(pathlib.Path("/tmp").glob("segwatch-demo-*"))
        p = subprocess.Popen([SEGWATCH, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        p.stdout.readline()  # the broker is there and the daemon starts
        children = children_of(p.pid)
        self.assertTrue(children)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 1)
        self.assertIn("interrupted", err)
        for pid in children:
            self.assertFalse(os.path.exists(f"/proc/{pid}"), pid)
        self.assertEqual(set(pathlib.Path("/tmp").glob("segwatch-demo-*")) - before, set())

    def test_children_do_not_survive_a_killed_parent(self):
        keep = self.dir / "killed"
        p = subprocess.Popen([SEGWATCH, "demo", "--keep", keep], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        p.stdout.readline()
        children = children_of(p.pid)
        self.assertTrue(children)
        p.kill()
        p.communicate()
        until = time.monotonic() + 5
        while any(os.path.exists(f"/proc/{pid}") for pid in children) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in children:
            state = pathlib.Path(f"/proc/{pid}/stat")
            self.assertTrue(not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z", pid)

    def test_an_existing_folder_is_not_touched(self):
        p = subprocess.run([SEGWATCH, "demo", "--keep", self.dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("is there already", p.stderr)
        self.assertEqual(list(self.dir.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
