"""Suppressions: what they keep back, where it goes, and what is said of those that are wrong or over."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from daemon import Daemon  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
GENERATOR = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(ROOT / "build"))) / "tests/gen_scenario"


class Suppressions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        subprocess.run([str(GENERATOR), "--seed", "3", "--hours", "26", "--hosts", "60", "--attack", "scan", "--out",
                        str(cls.dir)], check=True, timeout=120, stdout=subprocess.DEVNULL)
        cls.plain = (cls.dir / "config.yaml").read_text()
        cls.attacker = {json.loads(line)["actor"] for line in cls.replay(cls.plain)["signals"]
                        if json.loads(line)["detector"] == "horizontal_scan"}

    @classmethod
    def replay(cls, config, suppressions=None):
        (cls.dir / "c.yaml").write_text(config)
        if suppressions is not None:
            (cls.dir / "s.yaml").write_text(suppressions)
        p = subprocess.run([SEGWATCH, "replay", "-q", "-c", str(cls.dir / "c.yaml"), "--signals", str(cls.dir / "signals"),
                            "--suppressed", str(cls.dir / "suppressed"), "--summary", str(cls.dir / "summary"),
                            str(cls.dir / "messages.ndjson")], capture_output=True, text=True, timeout=120)
        assert p.returncode == 0, p.stderr
        return {"findings": p.stdout.splitlines(), "err": p.stderr, "signals": (cls.dir / "signals").read_text().splitlines(),
                "suppressed": (cls.dir / "suppressed").read_text().splitlines(),
                "summary": json.loads((cls.dir / "summary").read_text())}

    def check_config(self, config, suppressions, *args):
        (self.dir / "c.yaml").write_text(config)
        (self.dir / "s.yaml").write_text(suppressions)
        return subprocess.run([SEGWATCH, "check", "-c", str(self.dir / "c.yaml"), *args], capture_output=True, text=True,
                              timeout=60)

    def text(self, expires="never", **keys):
        rows = "".join(f"    {k}: {v}\n" for k, v in keys.items())
        return f"suppressions:\n  - id: scan-4711\n    reason: known scan\n    owner: netsec\n    expires: {expires}\n{rows}"

    def test_it_keeps_signals_back_and_counts_them(self):
        self.assertEqual(len(self.attacker), 1)
        before = self.replay(self.plain)
        self.assertGreater(len(before["findings"]), 0)
        after = self.replay(self.plain + "suppressions: s.yaml\n", self.text(source=f"[{min(self.attacker)}]"))
        kept = [json.loads(line) for line in after["suppressed"]]
        self.assertGreater(len(kept), 0)
        self.assertEqual({k["suppression"] for k in kept}, {"scan-4711"})
        self.assertEqual({k["actor"] for k in kept}, self.attacker)
        self.assertEqual(after["summary"]["signals_suppressed"], len(kept))
        self.assertEqual(len(after["signals"]) + len(kept), len(before["signals"]))
        self.assertEqual([f for f in after["findings"] if min(self.attacker) in json.loads(f)["unmapped"]["actor"]], [])

    def test_one_that_is_over_says_so_and_keeps_nothing_back(self):
        after = self.replay(self.plain + "suppressions: s.yaml\n",
                            self.text("2020-01-01", source=f"[{min(self.attacker)}]"))
        self.assertIn("s.yaml:2:5: warning: suppression 'scan-4711' expired at 2020-01-01T00:00:00.000Z", after["err"])
        self.assertEqual(after["suppressed"], [])
        self.assertEqual(after["summary"]["signals_suppressed"], 0)

    def test_the_dump_holds_them_and_reads_back(self):
        text = self.text(source="[10.1.2.3, web]", destination='"fd00::/16"', detectors="[D01]", services="[ssh, 445/tcp]")
        config = self.plain + "suppressions: s.yaml\n"
        if "name: web" not in config:
            text = text.replace(", web", "")
        p = self.check_config(config, text, "--dump")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("id: scan-4711", p.stdout)
        self.assertIn("detectors: [horizontal_scan]", p.stdout)
        again = self.check_config(p.stdout, text, "--dump")
        self.assertEqual((again.returncode, again.stdout), (0, p.stdout), again.stderr)

    def test_what_is_wrong_has_its_place(self):
        rows = [
            ("", "s.yaml:2:5: suppression 'scan-4711' would silence everything"),
            ("source: [nosuch]", "s.yaml:6:14: source: there is no segment 'nosuch'"),
            ("source: [any]", "s.yaml:6:14: any: leave the key out instead"),
            ("destination: [10.1.0.1/16]", "s.yaml:6:19: 10.1.0.1/16 has host bits set"),
            ("detectors: [horizontal_skan]", "did you mean 'horizontal_scan'"),
            ("services: [99999]", "s.yaml:6:16: service '99999' is not a port"),
            ("sorce: [10.1.0.1]", "s.yaml:6:5: unknown key 'sorce'; did you mean 'source'"),
        ]
        for row, message in rows:
            with self.subTest(row):
                p = self.check_config(self.plain + "suppressions: s.yaml\n", self.text() + (f"    {row}\n" if row else ""))
                self.assertEqual(p.returncode, 78, p.stdout + p.stderr)
                self.assertIn(message, p.stdout + p.stderr)
        p = self.check_config(self.plain + "suppressions: s.yaml\n", self.text("soon", source="10.1.0.1"))
        self.assertIn("s.yaml:5:14: expires: 'soon' is not a day", p.stdout + p.stderr)
        p = self.check_config(self.plain + "suppressions: gone.yaml\n", "")
        self.assertEqual(p.returncode, 78)
        self.assertIn("gone.yaml: cannot be read", p.stdout + p.stderr)

    def run_daemon(self, suppressions, rotate, *, part=1.0):
        """The daemon over the beginning of the messages."""
        folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        self.addCleanup(folder.cleanup)
        where = pathlib.Path(folder.name)
        lines = (self.dir / "messages.ndjson").read_bytes().splitlines(keepends=True)
        self.lines = lines
        n = int(len(lines) * part)
        (where / "messages.ndjson").write_bytes(b"".join(lines[:n]))
        (where / "s.yaml").write_text(suppressions)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        (where / "segwatch.yaml").write_text(
            f"sources:\n- {{name: f, kind: file, path: {where}/messages.ndjson, follow: true}}\n"
            f"alerts: {{file: {where}/alerts.jsonl, rotate: {rotate}}}\nstate: {{dir: {where}/state}}\n"
            f"admin: {{socket: {where}/s, http: '127.0.0.1:{port}'}}\n" + self.plain + "suppressions: s.yaml\n")
        self.metrics = f"http://127.0.0.1:{port}/metrics"
        d = Daemon(self, where / "segwatch.yaml")
        records = sum(len(json.loads(line)["records"]) for line in lines[:n])
        d.wait_for(lambda: d.records() == records, "everything is read")
        return d, where

    def counter(self, where):
        p = subprocess.run([SEGWATCH, "ctl", "--socket", str(where / "s"), "stats", "-o", "json"], capture_output=True,
                           text=True, timeout=20)
        self.assertEqual(p.returncode, 0, p.stderr)
        return json.loads(p.stdout)["result"]["engine"]["signals_suppressed"]

    def kept(self, where):
        """Lines of the files, the oldest first."""
        files = sorted(where.glob("suppressed.jsonl.*"), key=lambda f: -int(f.suffix[1:])) + [where / "suppressed.jsonl"]
        return files, [json.loads(line) for f in files for line in f.read_text().splitlines()]

    def test_the_daemon_rotates_and_counts_them(self):
        # without an end, all that one host does
        text = self.text(detectors="[horizontal_scan, vertical_scan, denied_scan, new_admin_edge, admin_fanout]")
        want = [json.loads(line) for line in self.replay(self.plain + "suppressions: s.yaml\n", text)["suppressed"]]
        self.assertGreater(len(want), 1)
        size = (max(len(json.dumps(line)) for line in want) // 1024 + 1) * 1024
        d, where = self.run_daemon(text, f"{{size: {size // 1024}KiB, keep: 99}}")
        d.wait_for(lambda: len(self.kept(where)[1]) >= len(want), "all are there")
        files, got = self.kept(where)
        self.assertEqual(sorted(g["uid"] for g in got), sorted(w["uid"] for w in want), "none twice, none lost")
        self.assertEqual({g["suppression"] for g in got}, {"scan-4711"})
        self.assertGreater(len(files), 1, "it was rotated")
        for f in files:
            self.assertLessEqual(f.stat().st_size, size, f)
        self.assertEqual(self.counter(where), len(want))
        with urllib.request.urlopen(self.metrics, timeout=10) as answer:
            rows = [line for line in answer.read().decode().splitlines() if line.startswith("segwatch_suppressions_total")]
        self.assertEqual(rows, [f'segwatch_suppressions_total{{suppression="scan-4711"}} {len(want)}'])
        d.stop()

    def test_one_that_ends_while_the_daemon_runs_is_told_once(self):
        times = [r["time"] for line in (self.dir / "messages.ndjson").read_text().splitlines()
                 for r in json.loads(line)["records"]]
        before = 0.5
        end = sorted(times)[len(times) * 7 // 10][:19] + "Z"
        text = self.text(end, source=f"[{min(self.attacker)}]") + self.text(source="[10.250.0.1]").replace(
            "suppressions:\n", "").replace("scan-4711", "never-4712")
        d, where = self.run_daemon(text, "{size: 0}", part=before)

        def health():
            path = where / "alerts.jsonl"
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            return [line for line in lines if line["finding_info"]["analytic"]["name"] == "suppression_expired"]
        time.sleep(2.5)  # it looks every second
        self.assertEqual(health(), [])
        self.assertNotIn("suppression_expired", d.log())
        with open(where / "messages.ndjson", "ab") as f:
            f.write(b"".join(self.lines[int(len(self.lines) * before):]))
        d.wait_for(health, "a finding")
        time.sleep(1.5)
        self.assertEqual(d.log().count("event=suppression_expired"), 1, "told once")
        line, = health()
        self.assertEqual(line["unmapped"]["kind"], "health")
        self.assertIn(f"scan-4711 (owner netsec, expired at {end[:-1]}.000Z)", line["message"])
        self.assertNotIn("never-4712", line["message"])
        d.stop()


if __name__ == "__main__":
    unittest.main()
