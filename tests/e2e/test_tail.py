# SPDX-License-Identifier: Apache-2.0
"""`segwatch tail`: what a person at a terminal and a program in a pipe get from the alert file."""
import json
import os
import pathlib
import pty
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
T0 = 1767225600000  # 2026-01-01T00:00:00Z


def finding(n, severity=3, message=None, actor="10.1.0.4", **more):
    names = ["Unknown", "Informational", "Low", "Medium", "High", "Critical"]
    return dict({
        "class_uid": 2004, "activity_id": 1, "severity_id": severity, "severity": names[severity], "risk_score": 60 + n,
        "time": T0 + n * 60000, "message": message or f"story {n}",
        "finding_info": {"uid": f"{n:032x}", "title": f"Title {n}", "modified_time": T0 + n * 60000,
                         "attacks": [{"technique": {"uid": "T1021"}}, {"technique": {"uid": "T1046"}}]},
        "evidences": [{"src_endpoint": {"ip": f"10.9.0.{n}"}}],
        "unmapped": {"actor": actor, "segment_src": "web", "segment_dst": "db", "compromised": ["fd00:1::7"]},
    }, **more)


def lines(*findings):
    return "".join(json.dumps(f) + "\n" for f in findings)


def tail(*args, stdin=None, env=None):
    p = subprocess.run([SEGWATCH, "tail", *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=20, env=dict(os.environ, **(env or {})))
    return p.returncode, p.stdout, p.stderr


class Tail(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.path = pathlib.Path(self.dir.name, "alerts.jsonl")

    def test_compact_is_one_readable_line_without_colour_in_a_pipe(self):
        code, out, _ = tail("-", stdin=lines(finding(1, 4)))
        self.assertEqual((code, out), (0, "2026-01-01T00:01:00Z HIGH      61 new    story 1 (web -> db) [T1021 T1046] "
                                          "00000000\n"))

    def test_json_can_be_piped_back_byte_by_byte(self):
        text = lines(finding(1), finding(2, message="Zürich \x1b[31m"))
        _, once, _ = tail("-o", "json", "-", stdin=text)
        self.assertEqual(once, text)
        self.assertEqual(tail("-o", "json", "-", stdin=once)[1], text)

    def test_table_has_a_header(self):
        _, out, _ = tail("-o", "table", "-", stdin=lines(finding(1), finding(2)))
        rows = out.splitlines()
        self.assertEqual(len(rows), 3)
        self.assertTrue(rows[0].startswith("TIME"))
        self.assertEqual(rows[0].index("ACTOR"), rows[1].index("10.1.0.4"))

    def test_text_of_a_finding_cannot_drive_the_terminal(self):
        bad = "evil \x1b]0;owned\x07\nsecond line \u009b31m \u202e"
        for style in ("compact", "table"):
            _, out, _ = tail("-o", style, "--color", "never", "-", stdin=lines(finding(1, message=bad, finding_info={
                "uid": "a\x1b[2J", "title": bad})))
            body = out.splitlines()[-1]
            self.assertFalse([c for c in body if ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e"], body)
            self.assertIn("\\x1b]0;owned\\x07\\x0asecond line", body)

    def test_colour_follows_options_and_no_color(self):
        text = lines(finding(1, 5))
        self.assertIn("\x1b[", tail("--color", "always", "-", stdin=text)[1])
        self.assertNotIn("\x1b[", tail("--color=never", "-", stdin=text)[1])
        for env, wanted in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
            self.path.write_text(text)
            parent, child = pty.openpty()
            e = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
            subprocess.run([SEGWATCH, "tail", str(self.path)], stdout=child, timeout=20, env=dict(e, **env), check=True)
            self.assertEqual(b"\x1b[" in os.read(parent, 4096), wanted)
            os.close(parent)
            os.close(child)

    def test_filters_severity_source_and_time(self):
        self.path.write_text(lines(finding(1, 2), finding(2, 3), finding(3, 5, actor="192.168.7.9")))
        shown = lambda *a: [f["risk_score"] - 60 for f in map(json.loads, tail("-o", "json", *a, str(self.path))[1]
                                                              .splitlines())]
        self.assertEqual(shown(), [1, 2, 3])
        self.assertEqual(shown("--severity", "medium"), [2, 3])
        self.assertEqual(shown("--severity", "Critical"), [3])
        self.assertEqual(shown("--src", "192.168.0.0/16"), [3])
        self.assertEqual(shown("--src", "10.9.0.2"), [2])
        self.assertEqual(shown("--src", "fd00:1::/64"), [1, 2, 3])
        self.assertEqual(shown("--src", "172.16.0.0/12"), [])
        self.assertEqual(shown("--since", "2026-01-01T00:02:00Z"), [2, 3])
        self.assertEqual(shown("--since", "7d"), [])

    def test_last_counts_what_matches_and_reads_rotated_files(self):
        pathlib.Path(f"{self.path}.2").write_text(lines(finding(1), finding(2)))
        pathlib.Path(f"{self.path}.1").write_text(lines(finding(3, 1), finding(4)))
        self.path.write_text(lines(finding(5, 1), finding(6)))
        shown = lambda *a: [f["risk_score"] - 60 for f in map(json.loads, tail("-o", "json", *a, str(self.path))[1]
                                                              .splitlines())]
        self.assertEqual(shown("--last", "1"), [6])
        self.assertEqual(shown("--last", "3"), [4, 5, 6])
        self.assertEqual(shown("-n", "3", "--severity", "medium"), [2, 4, 6])
        self.assertEqual(shown("--last", "0"), [])
        self.assertEqual(shown("--last", "100"), [1, 2, 3, 4, 5, 6])
        self.assertEqual(shown("--since", "2026-01-01T00:02:00Z"), [2, 3, 4, 5, 6])

    def test_last_finds_lines_in_a_large_file(self):
        big = finding(1)
        big["padding"] = "x" * 100000
        with open(self.path, "w") as f:
            f.write(lines(finding(1)))
            for n in range(100):
                f.write(lines(dict(big, severity_id=1)))
        code, out, _ = tail("-o", "json", "--severity", "medium", "--last", "2", str(self.path))
        self.assertEqual((code, out.count("\n")), (0, 1))

    def test_follow_goes_through_rotation_and_truncation(self):
        self.path.write_text(lines(finding(1)))
        out = open(f"{self.dir.name}/out", "w+")
        p = subprocess.Popen([SEGWATCH, "tail", "-f", "-o", "json", str(self.path)], stdout=out)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)

        def wait_for(n):
            end = time.monotonic() + 10
            while time.monotonic() < end:
                out.seek(0)
                seen = [json.loads(l)["risk_score"] - 60 for l in out.read().splitlines()]
                if len(seen) >= n:
                    break
                time.sleep(0.05)
            self.assertEqual(seen, list(range(1, n + 1)))

        wait_for(1)
        with open(self.path, "a") as f:
            f.write(lines(finding(2)))
        wait_for(2)
        os.rename(self.path, f"{self.path}.1")
        self.path.write_text(lines(finding(3)))
        wait_for(3)
        os.truncate(self.path, 0)
        wait_for(3)
        time.sleep(0.6)
        with open(self.path, "a") as f:
            f.write(lines(finding(4)))
        wait_for(4)
        out.close()

    def test_skips_lines_that_are_no_findings_and_says_so(self):
        code, out, err = tail("-", stdin="not json\n{\"a\":1}\n" + lines(finding(1)))
        self.assertEqual((code, out.count("\n")), (0, 1))
        self.assertIn("not findings", err)

    def test_an_empty_file_is_said_to_be_one(self):
        self.path.write_text("")
        code, out, err = tail(str(self.path))
        self.assertEqual((code, out), (0, ""))
        self.assertIn("there are no findings in", err)
        self.path.write_text(lines(finding(1)))
        self.assertEqual(tail("--severity", "critical", str(self.path)), (0, "", ""), "what a filter keeps back is no news")

    def test_the_file_comes_from_the_configuration(self):
        self.path.write_text(lines(finding(1)))
        config = pathlib.Path(self.dir.name, "segwatch.yaml")
        config.write_text(f"alerts: {{file: {self.path}}}\n")
        code, out, _ = tail("-c", str(config))
        self.assertEqual((code, out.count("\n")), (0, 1))
        config.write_text("nonsense: 1\n")
        code, out, err = tail("-c", str(config))
        self.assertEqual((code, out), (78, ""))
        self.assertIn("segwatch.yaml:1:1: ", err)

    def test_wrong_options_and_missing_files(self):
        self.assertEqual(tail("--severity", "huge", "-", stdin="")[0], 64)
        self.assertEqual(tail("--nonsense")[0], 64)
        self.assertEqual(tail("--last")[0], 64)
        self.assertEqual(tail("a", "b")[0], 64)
        code, _, err = tail(str(self.path))
        self.assertEqual(code, 1)
        self.assertIn("No such file", err)
        self.assertEqual(tail("-", stdin="")[0], 0)


if __name__ == "__main__":
    unittest.main()
