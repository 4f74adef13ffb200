# SPDX-License-Identifier: Apache-2.0
"""Every verb where something is wrong: its options, its files, what it writes to, what answers it. A row is a command
line, the exit code it must have and what must stand on stderr or stdout."""
import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import kit
from daemon import SEGWATCH, Daemon

OK, FAILED, USAGE, DATA, TEMPFAIL, CONFIG = 0, 1, 64, 65, 75, 78


def run(*args, stdin=b"", stdout=subprocess.PIPE, cwd=None, env=None):
    p = subprocess.run([SEGWATCH, *map(str, args)], input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=60, cwd=cwd,
                       env=dict(os.environ, **(env or {})))
    return p.returncode, (p.stdout or b"").decode(errors="replace"), p.stderr.decode(errors="replace")


class Verbs(unittest.TestCase):
    """One state, one alert file, made by one run of the daemon."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-verbs-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name)
        kit.scenario(cls.root / "s", seed=3, hours=5, hosts=60, load=10, attack="full")
        cls.input = cls.root / "messages.ndjson"
        cls.input.write_bytes((cls.root / "s/messages.ndjson").read_bytes() + b'{"records":[{"time":"x"}]}\n{]\n')
        cls.config = cls.root / "segwatch.yaml"
        cls.config.write_text(cls.yaml(cls, "f", cls.root))
        d = Daemon(cls, cls.config)
        d.wait_for(lambda: "event=alert" in d.log() or (cls.root / "alerts.jsonl").exists() and
                   (cls.root / "alerts.jsonl").read_text().count("\n") > 3, "findings")
        d.wait_for(lambda: (cls.root / "quarantine.jsonl").read_text().count("\n") >= 2, "all of it")
        code, _ = d.stop()
        assert code == 0, d.log()
        cls.lines = (cls.root / "alerts.jsonl").read_text().splitlines()
        cls.uid = json.loads(cls.lines[0])["finding_info"]["uid"]

    @classmethod
    def addCleanup(cls, f, *args):  # of the daemon of the class
        cls.addClassCleanup(f, *args)

    def yaml(self, name, folder, more=""):
        return (f"sources:\n- {{name: {name}, kind: file, path: {self.root}/messages.ndjson, follow: true}}\n"
                f"alerts: {{file: {folder}/alerts.jsonl}}\nstate: {{dir: {folder}/state}}\n"
                f"outputs:\n- {{name: hook, kind: webhook, url: 'https://127.0.0.1:1/'}}\n"
                f"admin: {{socket: {folder}/ctl.sock, http: none}}\n{more}" + (self.root / "s/config.yaml").read_text())

    def rows(self, rows):
        for args, code, said, *more in rows:
            with self.subTest(args=[str(a) for a in args]):
                got, out, err = run(*args, **(more[0] if more else {}))
                self.assertEqual(got, code, out[-500:] + err)
                self.assertRegex(err + out, said)
                self.assertNotRegex(err, "Sanitizer|runtime error")

    def full(self):
        f = open("/dev/full", "wb")
        self.addCleanup(f.close)
        return {"stdout": f}

    # ---- state ----

    def test_state(self):
        r, none = self.root, self.root / "none.yaml"
        (r / "none").mkdir()
        none.write_text(f"state: {{dir: {r}/none}}\n")
        missing = r / "missing.yaml"
        missing.write_text(f"state: {{dir: {r}/missing}}\n")
        bad = r / "bad.yaml"
        bad.write_text("learning: x\n")
        self.rows([
            (["state"], USAGE, "is missing: info, check, export or import"),
            (["state", "look"], USAGE, "unknown word 'look'"),
            (["state", "look", "-c", self.config], USAGE, "unknown word 'look'"),
            (["state", "info", "x"], USAGE, "info takes no argument"),
            (["state", "export"], USAGE, "export needs one FILE"),
            (["state", "import", "a", "b"], USAGE, "import needs one FILE"),
            (["state", "info", "-o", "xml"], USAGE, "xml"),
            (["state", "info", "--nothing"], USAGE, "nothing"),
            (["state", "info", "-c", bad], CONFIG, "learning"),
            (["state", "import", r / "x", "-c", bad], CONFIG, "learning"),
            (["state", "info", "-c", missing], FAILED, "missing: No such file"),
            (["state", "info", "-c", none], OK, "(?s)state .*releases    none"),
            (["state", "check", "-c", none], OK, "outbox: none\nsnapshots: none"),
            (["state", "export", "--canonical", "-c", none], FAILED, "."),
            (["state", "export", r / "x", "-c", none], FAILED, "there is no state to export"),
            (["state", "import", r / "nosuch", "-c", none], FAILED, "No such file"),
            (["state", "info", "-c", self.config], OK, r"(?s)releases    \d+, watermark .*places\n  f .*tables of the newest"),
            (["state", "info", "-c", self.config, "-o", "text"], OK, "snapshots"),
            (["state", "info", "-c", self.config, "-o", "json"], OK, '"tables":\\['),
            (["state", "check", "-c", self.config], OK, r"(?s)outbox: ok\nsnapshot \d+: ok"),
            (["state", "export", "--canonical", "-c", self.config], OK, "(?s)watermark .*pair "),
            (["state", "info", "-c", self.config, "-o", "json"], FAILED, "standard output", self.full()),
            (["state", "export", r / "nofolder/x", "-c", self.config], FAILED, "No such file"),
            (["state", "export", "/dev/full/x", "-c", self.config], FAILED, "Not a directory"),
            (["state", "export", r / "s", "-c", self.config], FAILED, "Is a directory"),
        ])

    def copy(self, name):
        """A configuration of its own with a copy of the state."""
        d = self.root / name
        shutil.rmtree(d, ignore_errors=True)
        d.mkdir()
        shutil.copytree(self.root / "state", d / "state")
        (d / "segwatch.yaml").write_text(self.yaml("f", d))
        return d

    def test_state_travels_and_what_is_damaged_does_not(self):
        file = self.root / "exported"
        self.assertEqual(run("state", "export", file, "-c", self.config)[0], OK)
        whole = file.read_bytes()
        d = self.copy("there")
        conf = d / "segwatch.yaml"
        before = run("state", "export", "--canonical", "-c", conf)[1]
        first = whole.split(b"\n")[1].split()  # NAME BYTES HASH
        at = len(b"segwatch-state 1\n" + b" ".join(first) + b"\n")

        def member(name, n=0, data=b"", hash=b"e3b0c44298fc1c149afbf4c8996fb924"):
            return b"segwatch-state 1\n%s %d %s\n" % (name, n, hash) + data + b"end\n"

        for what, text, said in [
                ("nothing", b"", "no exported state"), ("something else", b"hello\nworld\n", "no exported state"),
                ("a newer one", b"segwatch-state 2\nend\n", "newer version"),
                ("cut off", whole[:-4], "ends too early"), ("cut in a member", whole[:at + 100], "ends within it"),
                ("a changed byte", whole[:at + 50] + bytes([whole[at + 50] ^ 1]) + whole[at + 51:], "checksum is wrong"),
                ("no member", b"segwatch-state 1\nx\nend\n", "damaged, or of a newer version"),
                ("a name with a path", member(b"../../seed"), "damaged, or of a newer version"),
                ("a snapshot without number", member(b"snapshot.x"), "damaged, or of a newer version"),
                ("snapshot 0", member(b"snapshot.0"), "damaged, or of a newer version"),
                ("a member twice", member(b"seed")[:-4] + member(b"seed")[17:], "File exists"),
                ("a size that is none", member(b"seed", 99999999999999999999), "memory|ends within it")]:
            with self.subTest(what):
                file.write_bytes(text)
                code, out, err = run("state", "import", file, "--replace", "-c", conf)
                self.assertEqual(code, FAILED, err)
                self.assertRegex(err, said)
                self.assertEqual(run("state", "export", "--canonical", "-c", conf)[1], before, "nothing was touched")
        file.write_bytes(whole)
        code, _, err = run("state", "import", file, "-c", conf)
        self.assertEqual(code, FAILED)
        self.assertIn("there is a state already", err)
        self.assertEqual(run("state", "import", file, "--replace", "-c", conf)[0], OK)
        self.assertEqual(run("state", "export", "--canonical", "-c", conf)[1], before)
        empty = self.root / "empty"
        empty.mkdir()
        (empty / "segwatch.yaml").write_text(self.yaml("f", empty))
        self.assertEqual(run("state", "import", file, "-c", empty / "segwatch.yaml")[0], OK)
        self.assertEqual(run("state", "export", "--canonical", "-c", empty / "segwatch.yaml")[1], before)

    def test_a_damaged_state_is_named(self):
        d = self.copy("damaged")
        conf = d / "segwatch.yaml"
        newest = max((d / "state").glob("snapshot.*"), key=lambda p: int(p.suffix[1:]))
        data = bytearray(newest.read_bytes())
        data[len(data) // 2] ^= 0xff
        newest.write_bytes(data)
        self.rows([(["state", "check", "-c", conf], FAILED, rf"(?s)outbox: ok.*snapshot {newest.suffix[1:]}: (?!ok)"),
                   (["state", "info", "-c", conf], FAILED, "snapshot \\d+: ")])
        shutil.copy(newest, d / "state/snapshot.999999")  # says another number than its name, if it says anything
        self.rows([(["state", "check", "-c", conf], FAILED, "snapshot 999999: (?!ok)"),
                   (["state", "export", d / "out", "-c", conf], OK, "is left out")])
        for p in (d / "state").glob("snapshot.*"):
            p.write_bytes(b"")
        (d / "state/outbox.db").write_bytes(b"no data base" * 1000)
        self.rows([(["state", "check", "-c", conf], FAILED, "segwatch state: "),
                   (["state", "info", "-c", conf], FAILED, "segwatch state: "),
                   (["state", "export", d / "out", "-c", conf], FAILED, "segwatch state: "),
                   (["resend", "--to", "hook", "--since", "1h", "-c", conf], FAILED, "segwatch resend: ")])

    def test_a_state_in_use(self):
        d = self.copy("used")
        conf = d / "segwatch.yaml"
        daemon = Daemon(self, conf)
        daemon.wait_log("event=stats_source")
        self.rows([(["state", "export", d / "x", "-c", conf], TEMPFAIL, "segwatch state: "),
                   (["state", "import", d / "x", "--replace", "-c", conf], TEMPFAIL, "segwatch state: "),
                   (["state", "info", "-c", conf], OK, "releases"), (["state", "check", "-c", conf], OK, "ok"),
                   (["ctl", "status", "-c", conf], OK, "segwatch .*pid"), (["ctl", "stats", "-c", conf], OK, "TABLE"),
                   (["ctl", "version", "-c", conf], OK, "version: "), (["ctl", "reopen", "-c", conf], OK, "."),
                   (["ctl", "pause", "-c", conf], OK, "paused: yes"), (["ctl", "resume", "-c", conf], OK, "paused: no"),
                   (["ctl", "reload", "-c", conf], OK, "."),
                   (["ctl", "set-log-level", "debug", "-c", conf], OK, "."),
                   (["ctl", "set-log-level", "loud", "-c", conf], USAGE, "loud|error, warning"),
                   (["ctl", "status", "-o", "json", "-s", d / "ctl.sock"], OK, '"ok":true'),
                   (["ctl", "status", "-o", "json", "-s", d / "ctl.sock"], FAILED, "standard output", self.full()),
                   (["top", "--once", "-c", conf], OK, "SOURCE"), (["top", "-s", d / "ctl.sock"], OK, "SOURCE"),
                   (["top", "--once", "--color", "always", "-c", conf], OK, "\x1b")])
        # one of its own may be on its way
        answers = []
        daemon.wait_for(lambda: answers.append(run("ctl", "snapshot", "-c", conf)) or answers[-1][0] != TEMPFAIL,
                        "no snapshot is on its way")
        self.assertEqual(answers[-1][0], OK, answers[-1])
        conf.write_text(conf.read_text() + "\nlearning: x\n")
        self.rows([(["ctl", "reload", "-c", conf], CONFIG, "learning"),
                   (["ctl", "reload", "-s", d / "ctl.sock"], CONFIG, "segwatch.yaml:\\d+:\\d+: .*learning"),
                   (["ctl", "status", "-s", d / "ctl.sock"], OK, "THE LAST RELOAD FAILED with")])
        conf.write_text(self.yaml("f", d, "memory: {limit: 600MiB}\n"))
        self.rows([(["ctl", "reload", "-c", conf], OK, "memory.limit"),
                   (["ctl", "status", "-c", conf], OK, "a restart is needed for memory.limit")])
        self.assertEqual(daemon.stop()[0], 0)

    # ---- findings ----

    def test_tail(self):
        r, file = self.root, self.root / "alerts.jsonl"
        odd = r / "odd.jsonl"
        odd.write_bytes(b"\nno json\n" + self.lines[0].encode() + b"\n" + b'{"class_uid":1}\n')
        self.rows([
            (["tail", file], OK, "new|update"), (["tail", file, file], USAGE, "."),
            (["tail", "-n", "x", file], USAGE, "x"), (["tail", "-n", "99999999999", file], USAGE, "99999999999"),
            (["tail", "-n", "1", "-o", "json", file], OK, '^{"'), (["tail", "-n", "0", file], OK, "^$"),
            (["tail", "-o", "table", file], OK, "^TIME"), (["tail", "-o", "yaml", file], USAGE, "yaml"),
            (["tail", "--since", "soon", file], USAGE, "soon"), (["tail", "--since", "2030-01-01T00:00:00Z", file], OK, "^$"),
            (["tail", "--since", "2020-01-01T00:00:00Z", file], OK, "new"), (["tail", "--since", "90s", file], OK, "^$|new"),
            (["tail", "--severity", "critical", file], OK, "^$|CRITICAL"), (["tail", "--severity", "loud", file], USAGE, "loud"),
            (["tail", "--src", "10.0.0.0/8", file], OK, "new"), (["tail", "--src", "x", file], USAGE, "x"),
            (["tail", "--src", "fd00::/64", file], OK, "^$"), (["tail", "--color", "always", file], OK, "\x1b"),
            (["tail", "--color", "never", file], OK, "new"), (["tail", "--color", "blue", file], USAGE, "blue"),
            (["tail", "--color", "auto", file], OK, "new", {"env": {"NO_COLOR": "1"}}),
            (["tail", r / "nosuch"], FAILED, "No such file"), (["tail", r], FAILED, "Is a directory|director"),
            (["tail", odd], OK, "new"), (["tail", "-c", self.config], OK, "new"),
            (["tail", "-c", r / "nosuch.yaml"], CONFIG, "nosuch.yaml"),
            (["tail", "-"], OK, "new", {"stdin": odd.read_bytes()}), (["tail", "-n", "1", "-"], OK, "new", {"stdin": odd.read_bytes()}),
            (["tail", "-o", "json", file], FAILED, "standard output|No space", self.full()),
        ])

    def test_tail_over_rotated_files(self):
        file = self.root / "rotated.jsonl"
        for k, line in enumerate(self.lines[:4]):
            (self.root / (f"rotated.jsonl.{k}" if k else "rotated.jsonl")).write_text(line + "\n")
        code, out, err = run("tail", "-n", "10", "-o", "json", "--since", "2020-01-01T00:00:00Z", file)
        self.assertEqual((code, out.splitlines()), (OK, self.lines[3::-1]), err)
        code, out, _ = run("tail", "-n", "1", "-o", "json", file)
        self.assertEqual((code, out.splitlines()), (OK, self.lines[:1]))

    def test_tail_follows_a_file_that_comes_and_goes(self):
        file = self.root / "follow.jsonl"
        p = subprocess.Popen([SEGWATCH, "tail", "-f", "-o", "json", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addClassCleanup(p.stdout.close)
        self.addClassCleanup(p.stderr.close)
        try:
            time.sleep(0.2)
            for k, how in enumerate(("made", "appended", "moved", "truncated")):
                if how == "moved":
                    file.rename(file.with_suffix(".jsonl.1"))
                with open(file, "w" if how == "truncated" else "a") as f:
                    f.write(self.lines[k] + "\n")
                ready, _, _ = select.select([p.stdout], [], [], 10)
                self.assertTrue(ready, how)
                self.assertEqual(p.stdout.readline().decode().rstrip("\n"), self.lines[k], how)
        finally:
            p.terminate()  # SIGINT is ignored by what a shell starts in the background
            p.wait(10)

    def test_explain(self):
        r, file = self.root, self.root / "alerts.jsonl"
        two = r / "two.jsonl"
        other = json.loads(self.lines[0])
        other["finding_info"]["uid"] = self.uid[:8] + "0" * 24
        two.write_text(self.lines[0] + "\n" + json.dumps(other) + "\nno json\n\n")
        (r / "two.jsonl.1").write_text("")
        self.rows([
            (["explain"], USAGE, "."), (["explain", self.uid, "x"], USAGE, "."), (["explain", "xyz"], USAGE, "."),
            (["explain", self.uid[:3]], USAGE, "."), (["explain", "--nothing", self.uid], USAGE, "nothing"),
            (["explain", "--file", file, self.uid], OK, "Step by step"),
            (["explain", "-c", self.config, self.uid[:10]], OK, "Step by step"),
            (["explain", "--file", file, "0" * 32], FAILED, "."), (["explain", "--file", r / "no", self.uid], FAILED, "."),
            (["explain", "--file", two, self.uid[:8]], FAILED, "more than one|several|longer"),
            (["explain", "--file", two, self.uid], OK, "Step by step"),
            (["explain", "-c", r / "nosuch.yaml", self.uid], CONFIG, "nosuch.yaml"),
            (["explain", "--file", file, self.uid], FAILED, "standard output", self.full()),
        ])

    def test_quarantine(self):
        r, file = self.root, self.root / "quarantine.jsonl"
        first = json.loads(file.read_text().splitlines()[0])
        place = f"{first['file']}:{first['byte']}"
        odd = r / "quarantine-odd.jsonl"
        odd.write_bytes(b"\nno json\n{}\n" + file.read_bytes())
        self.rows([
            (["quarantine"], USAGE, "."), (["quarantine", "look"], USAGE, "look"), (["quarantine", "show"], USAGE, "."),
            (["quarantine", "list", "x"], USAGE, "."), (["quarantine", "list", "-o", "xml"], USAGE, "xml"),
            (["quarantine", "list", "-c", self.config], OK, "messages.ndjson"),
            (["quarantine", "list", "--entries", "-c", self.config], OK, "messages.ndjson"),
            (["quarantine", "list", "-o", "json", "--file", odd], OK, '"reason":"json"'),
            (["quarantine", "list", "-o", "text", "--entries", "--file", odd], OK, "."),
            (["quarantine", "list", "--file", "-"], OK, "messages.ndjson", {"stdin": odd.read_bytes()}),
            (["quarantine", "list", "--file", r / "nosuch"], FAILED, "No such file"),
            (["quarantine", "show", "x:1:2", "--file", file], FAILED, "."),
            (["quarantine", "show", "nonsense", "--file", file], FAILED, "."),
            (["quarantine", "show", place, "--file", file], OK, "reason "),
            (["quarantine", "show", place, "--raw", "--file", file], FAILED, "not kept|was kept|no message"),
            (["quarantine", "retry", "--file", file], OK, "0 of 0 kept messages"),
            (["quarantine", "list", "-c", r / "nosuch.yaml"], CONFIG, "nosuch.yaml"),
            (["quarantine", "list", "--entries", "-o", "json", "--file", file], FAILED, "standard output|No space", self.full()),
        ])

    def test_outputs(self):
        r, bad = self.root, self.root / "none.yaml"
        bad.write_text(f"state: {{dir: {r}/none}}\n")
        self.rows([
            (["resend"], USAGE, "."), (["resend", "--to", "hook"], USAGE, "since"), (["resend", "--since", "1h"], USAGE, "to"),
            (["resend", "--to", "hook", "--since", "x"], USAGE, "x"), (["resend", "--nothing"], USAGE, "nothing"),
            (["resend", "--to", "hook", "--since", "1h", "x"], USAGE, "."),
            (["resend", "--to", "nobody", "--since", "1h", "-c", self.config], FAILED, "nobody"),
            (["resend", "--to", "hook", "--since", "1h", "-c", bad], FAILED, "."),
            (["resend", "--to", "hook", "--since", "1h", "-c", r / "no.yaml"], CONFIG, "no.yaml"),
            (["resend", "--to", "hook", "--since", "365d", "-c", self.config], OK, "hook"),
            (["resend", "--to", "alerts", "--since", "2090-01-01T00:00:00Z", "-c", self.config], OK, "."),
            (["test-alert", "x"], USAGE, "."), (["test-alert", "--nothing"], USAGE, "nothing"),
            (["test-alert", "-c", bad], CONFIG, "has no outputs"),
            (["test-alert", "--to", "nobody", "-c", self.config], CONFIG, "no output named nobody"),
            (["test-alert", "-c", r / "no.yaml"], CONFIG, "no.yaml"),
            (["test-alert", "--to", "hook", "-c", self.config], FAILED, "hook: FAILED|hook.*FAILED"),
            (["check", "--online", "-c", self.config], FAILED, "(?s)FAILED"),
        ])

    # ---- what needs no state ----

    def test_check_schema_run_and_help(self):
        r = self.root
        self.rows([
            (["check", "-c", self.config, "x"], USAGE, "."), (["check", "--nothing"], USAGE, "nothing"),
            (["check", "--sample"], FAILED, "standard output|No space", self.full()),
            (["check", "--dump", "-c", self.config], FAILED, "standard output|No space", self.full()),
            (["schema"], USAGE, "."), (["schema", "x"], USAGE, "x"), (["schema", "config", "x"], USAGE, "."),
            (["schema", "config", "--as", "arm"], USAGE, "."), (["schema", "sentinel", "--as", "x"], USAGE, "x"),
            (["schema", "--nothing"], USAGE, "nothing"), (["schema", "sentinel"], OK, "TimeGenerated"),
            (["schema", "sentinel", "--as", "columns"], OK, "TimeGenerated"),
            (["schema", "sentinel", "--as", "markdown"], OK, "\\| *`?TimeGenerated"),
            (["schema", "sentinel", "--as", "arm"], OK, "deploymentTemplate"),
            (["schema", "ocsf"], FAILED, "standard output|No space", self.full()),
            (["run", "x"], USAGE, "."), (["run", "--stats-ms", "0"], USAGE, "0"), (["run", "--stats-ms", "x"], USAGE, "x"),
            (["run", "--stats-ms", "86400001"], USAGE, "."), (["run", "--nothing"], USAGE, "nothing"),
            (["run", "-c", r / "no.yaml"], CONFIG, "no.yaml"),
            (["help"], OK, "usage"), (["--help"], OK, "usage"), (["-h"], OK, "usage"), (["help", "run"], OK, "usage: segwatch run"),
            (["help", "x"], USAGE, "x"), (["x"], USAGE, "x"), ([], USAGE, "usage"), (["--version"], OK, "segwatch \\d"),
            (["version"], OK, "segwatch \\d"), (["--version"], FAILED, "standard output", self.full()),
            (["run", "-h"], OK, "usage"), (["demo", "x"], USAGE, "."), (["demo", "--seed", "x"], USAGE, "x"),
            (["demo", "--nothing"], USAGE, "nothing"), (["demo", "--keep", "/nosuch/folder/x"], FAILED, "No such file"),
            (["run", "-c"], USAGE, "."), (["ctl", "-o"], USAGE, "."),
        ])

    def test_replay(self):
        r, i = self.root, self.input
        c = ["-c", self.root / "s/config.yaml"]
        locked = r / "many"
        locked.mkdir(exist_ok=True)
        (locked / "loop").exists() or (locked / "loop").is_symlink() or (locked / "loop").symlink_to(locked)
        (locked / ".hidden").write_text("x")
        (locked / "a.json").write_bytes(i.read_bytes().splitlines(True)[0])
        self.rows([
            (["replay"], USAGE, "."), (["replay", "-j", "0", i], USAGE, "0"), (["replay", "-j", "x", i], USAGE, "x"),
            (["replay", "-j", "9999", i], USAGE, "9999"), (["replay", "--nothing", i], USAGE, "nothing"),
            (["replay", r / "nosuch"], FAILED, "No such file"), (["replay", i / "x"], FAILED, "Not a directory|No such"),
            (["replay", "-c", r / "no.yaml", i], CONFIG, "no.yaml"),
            (["replay", "--summary", r / "no/x", i], FAILED, "No such file"),
            (["replay", "--signals", r / "no/x", i], FAILED, "No such file"),
            (["replay", "--suppressed", r / "no/x", i], FAILED, "No such file"),
            (["replay", "--quarantine", r / "no/x", i], FAILED, "No such file"),
            (["replay", "--load-state", r / "no", i], FAILED, "no"), (["replay", "--save-state", "/proc/x", i], FAILED, "."),
            (["replay", *c, "--signals", "/dev/full", i], FAILED, "No space"),
            (["replay", *c, "--summary", "/dev/full", i], FAILED, "No space|summary"),
            (["replay", *c, "--quarantine", "/dev/full", i], FAILED, "No space"),
            (["replay", *c, i], FAILED, "No space", self.full()),
            (["replay", *c, "--summary", "-", i], OK, '"findings"'), (["replay", *c, locked], OK, "1 record|records"),
            (["replay", *c, "-"], OK, "findings", {"stdin": i.read_bytes()}),
            (["replay", "-"], DATA, ".", {"stdin": b"\x00\x01nonsense\n"}), (["replay", "-"], OK, ".", {"stdin": b""}),
            (["replay", *c, i, r / "nosuch"], FAILED, "No such file"),
            (["replay", *c, "--save-state", r / "saved", i], OK, "."),
            (["replay", *c, "--load-state", r / "saved", i], OK, "."),
        ])
        p = subprocess.run(f"'{SEGWATCH}' replay -q -c '{self.root}/s/config.yaml' '{i}' | head -c 10", shell=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(p.stderr, b"", "who reads no further is no error")

    # ---- what answers ----

    def listen(self, answer):
        """A socket whose listener does `answer(connection)`; its path."""
        path = self.root / f"s{time.monotonic_ns()}"
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(path))
        s.listen(4)
        self.addClassCleanup(s.close)

        def serve():
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                with c:
                    answer(c)
        threading.Thread(target=serve, daemon=True).start()
        return path

    def test_what_answers_is_not_segwatch(self):
        def say(text):
            def answer(c):
                c.recv(4096)
                try:
                    c.sendall(text)
                except OSError:
                    pass  # it has heard enough
            return answer

        def error(code, **more):
            return say(json.dumps({"ok": False, "error": {"code": code, "message": "so", **more}}).encode() + b"\n")

        errors = [{"file": "a.yaml", "line": 3, "column": 4, "message": "wrong"}, {"message": "nowhere"}]
        gone, file = self.root / "gone.sock", self.root / "segwatch.yaml"
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(gone))
        s.close()
        for verb in (["ctl", "status"], ["top", "--once"]):
            self.rows([
                (verb + ["-s", gone], TEMPFAIL, "Connection refused; is the daemon running"),
                (verb + ["-s", self.root / "no.sock"], TEMPFAIL, "No such file .*; is the daemon running"),
                (verb + ["-s", "/" + "x" * 200], TEMPFAIL, "File name too long"), (verb + ["-s", file], TEMPFAIL, "."),
                (verb + ["-s", self.listen(lambda c: None)], TEMPFAIL, "Broken pipe|reset"),
                (verb + ["-s", self.listen(say(b"half an answ"))], TEMPFAIL, "Broken pipe|reset"),
                (verb + ["-s", self.listen(say(b"220 mail ready\n"))], FAILED, "is not segwatch"),
                (verb + ["-s", self.listen(say(b"[1]\n"))], FAILED, "is not segwatch"),
                (verb + ["-s", self.listen(say(b"x" * (5 << 20) + b"\n"))], TEMPFAIL, "Message too long|reset|Broken"),
                (verb + ["-s", self.listen(error("busy"))], TEMPFAIL, "so|busy"),
            ])
        self.rows([
            (["ctl", "status", "-s", self.listen(error("bad_request"))], USAGE, "segwatch ctl: so"),
            (["ctl", "status", "-s", self.listen(error("unknown_command"))], USAGE, "segwatch ctl: so"),
            (["ctl", "status", "-s", self.listen(error("failed"))], FAILED, "segwatch ctl: so"),
            (["ctl", "status", "-s", self.listen(say(b"{}\n"))], FAILED, "the daemon did not say why"),
            (["ctl", "reload", "-s", self.listen(error("x", errors=errors))], CONFIG, "(?s)a.yaml:3:4: wrong.*nowhere"),
            (["ctl", "status", "-o", "json", "-s", self.listen(error("x"))], FAILED, '"ok": false'),
            (["ctl", "version", "-s", self.listen(say(b'{"ok":true,"result":{"a":"b","n":3,"t":true,"f":null}}\n'))], OK,
             "a: b\nn: 3\nt: yes\nf: no"),
            (["ctl", "pause", "-s", self.listen(say(b'{"ok":true}\n'))], OK, "done"),
            (["ctl", "status", "-s", "x", "-c", file], USAGE, "."), (["ctl", "status", "-o", "xml"], USAGE, "xml"),
            (["ctl"], USAGE, "."), (["ctl", "look"], USAGE, "look"), (["ctl", "status", "x"], USAGE, "."),
            (["ctl", "set-log-level"], USAGE, "."), (["ctl", "status", "--nothing"], USAGE, "nothing"),
            (["top", "-n", "0"], USAGE, "0"), (["top", "-n", "3601"], USAGE, "3601"), (["top", "-n", "x"], USAGE, "x"),
            (["top", "x"], USAGE, "."), (["top", "-s", "x", "-c", file], USAGE, "."), (["top", "--color", "x"], USAGE, "x"),
            (["ctl", "status", "-c", self.root / "no.yaml"], CONFIG, "no.yaml"),
        ])
        none = self.root / "nosocket.yaml"
        none.write_text("admin: {socket: none, http: none}\n")
        self.rows([(["ctl", "status", "-c", none], CONFIG, "admin.socket is none")])


if __name__ == "__main__":
    unittest.main()
