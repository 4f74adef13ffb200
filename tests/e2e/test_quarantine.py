# SPDX-License-Identifier: Apache-2.0
"""`segwatch quarantine`: counts, shows without driving the terminal, and decodes again what was kept."""
import base64
import gzip
import json
import os
import pathlib
import pty
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
SAMPLE = (ROOT / "tests/data/samples/ms_docs_vnet_v4.json").read_bytes()


def entry(offset, message=None, reason="json", whole=True, source="weu", partition=3, **more):
    row = {"time": f"2026-01-02T03:04:{offset % 60:02}.000Z", "source": source, "topic": "flowlogs",
           "partition": partition, "offset": offset, "byte": 7, "reason": reason, "text": "not valid JSON",
           "whole_message": whole, "bytes": 1000, "excerpt": "\x1b[2J\x9b31m"}
    if message is not None:
        row["message_base64"] = base64.b64encode(message).decode()
    return dict(row, **more)


class Quarantine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="segwatch-quarantine-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.file = self.dir / "quarantine.jsonl"
        self.config = self.dir / "segwatch.yaml"
        self.config.write_text(f"alerts: {{file: {self.dir}/alerts.jsonl}}\n")

    def write(self, *rows, name="quarantine.jsonl"):
        (self.dir / name).write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))

    def run_it(self, *args, code=0, stdin=b"", config=True):
        p = subprocess.run([SEGWATCH, "quarantine", *(["-c", str(self.config)] if config else []), *map(str, args)],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, input=stdin, timeout=60)
        self.assertEqual(p.returncode, code, p.stderr.decode())
        return p.stdout, p.stderr.decode()

    def groups(self):
        out, _ = self.run_it("list", "-o", "json")
        return [json.loads(l) for l in out.splitlines()]

    def test_list_counts_over_rotated_files(self):
        self.write(entry(1), entry(2, b"x"), name="quarantine.jsonl.2")
        self.write(entry(3), name="quarantine.jsonl.1")
        self.write(entry(4, reason="shape"), entry(5, partition=4),
                   {"file": "/logs/PT1H.json", "byte": 99, "reason": "tuple_port", "text": "", "whole_message": False,
                    "excerpt": "70000"})
        self.assertEqual(self.groups(), [
            {"entries": 3, "kept": 1, "reason": "json", "where": "weu:3", "first": "2026-01-02T03:04:01.000Z",
             "last": "2026-01-02T03:04:03.000Z"},
            {"entries": 1, "kept": 0, "reason": "json", "where": "weu:4", "first": "2026-01-02T03:04:05.000Z",
             "last": "2026-01-02T03:04:05.000Z"},
            {"entries": 1, "kept": 0, "reason": "shape", "where": "weu:3", "first": "2026-01-02T03:04:04.000Z",
             "last": "2026-01-02T03:04:04.000Z"},
            {"entries": 1, "kept": 0, "reason": "tuple_port", "where": "/logs/PT1H.json"}])
        table = self.run_it("list")[0].decode().splitlines()
        self.assertEqual(len(table), 5)
        self.assertRegex(table[1], r"^ +3 +1  json +2026-01-02T03:04:01.000Z +2026-01-02T03:04:03.000Z +weu:3$")
        entries = self.run_it("list", "--entries")[0].decode().splitlines()
        self.assertEqual(entries[1], "2026-01-02T03:04:02.000Z weu:3:2 json kept")
        self.assertEqual(entries[5], "/logs/PT1H.json:99 tuple_port")

    def test_empty_missing_and_damaged(self):
        self.write()
        out, err = self.run_it("list")
        self.assertEqual(out, b"")
        self.assertIn("nothing was put aside", err)
        self.file.write_text('{"reason":"json"}\nnonsense\n' + json.dumps(entry(1)) + "\n" + json.dumps(entry(2))[:50])
        out, err = self.run_it("list", "--entries")
        self.assertEqual(len(out.splitlines()), 1)
        self.assertIn("3 lines are no entries", err)
        self.file.unlink()
        self.assertIn("No such file", self.run_it("list", code=1)[1])
        self.assertIn("nothing was put aside", self.run_it("list", "--file", "-")[1])

    def test_show_is_safe_for_terminals(self):
        self.write(entry(7, b"\x1b]0;owned\x07{\xc2\x9b31m\xff"))
        out, _ = self.run_it("show", "weu:3:7")
        self.assertFalse([c for c in out if c < 0x20 and c != 10 or c == 0x7f])
        text = out.decode()
        self.assertNotIn("\x9b", text)
        for part in ("weu:3:7", "flowlogs", "not valid JSON", r"\x1B]0;owned\x07".lower(), "kept      17 bytes"):
            self.assertIn(part, text.replace("\\x1B", "\\x1b"))
        listed, _ = self.run_it("list", "--entries")
        self.assertNotIn(b"\x1b", listed)

    def test_show_raw_gives_the_bytes_back(self):
        message = bytes(range(256)) * 40
        self.write(entry(7), entry(8, message), entry(9))
        self.assertEqual(self.run_it("show", "--raw", "weu:3:8")[0], message)
        self.assertIn("bytes more", self.run_it("show", "weu:3:8")[0].decode())
        self.assertIn("not kept", self.run_it("show", "--raw", "weu:3:7", code=1)[1])
        self.assertIn("no such entry", self.run_it("show", "weu:3:70", code=1)[1])
        lead, follow = pty.openpty()
        p = subprocess.run([SEGWATCH, "quarantine", "-c", str(self.config), "show", "--raw", "weu:3:8"], stdout=follow,
                           stderr=subprocess.PIPE, timeout=20)
        os.close(lead)
        os.close(follow)
        self.assertEqual(p.returncode, 64)

    def test_retry_prints_what_replay_takes(self):
        pretty = json.dumps(json.loads(SAMPLE), indent=2).encode()
        self.write(entry(1, b"still {"), entry(2, pretty), entry(3), entry(4, gzip.compress(b"\xef\xbb\xbf" + SAMPLE)),
                   entry(5, SAMPLE, whole=False))
        out, err = self.run_it("retry")
        lines = out.splitlines()
        self.assertEqual([json.loads(l) for l in lines], [json.loads(SAMPLE)] * 2)
        self.assertIn("2 of 3 kept messages decode now", err)
        self.assertIn("1 still: json", err)
        self.assertIn("1 were not kept as a whole", err)
        self.assertIn("1 were used but for a part", err)
        p = subprocess.run([SEGWATCH, "replay", "-q", "--summary", "-", "-"], input=out, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(p.returncode, 0)
        summary = json.loads(p.stderr.splitlines()[-1])
        self.assertEqual((summary["messages"], summary["message_errors"]), (2, 0))
        self.assertGreater(summary["tuples"], 0)
        self.assertIn(f"{summary['records']} records", err)

    def test_retry_of_chosen_places_and_exit_codes(self):
        self.write(entry(1, b"still {"), entry(2, SAMPLE))
        self.assertEqual(self.run_it("retry", "weu:3:1", code=65)[0], b"")
        self.assertEqual(len(self.run_it("retry", "weu:3:2")[0].splitlines()), 1)
        self.assertIn("no such entry", self.run_it("retry", "weu:9:9", code=1)[1])
        for wrong in (["retry", "--frob"], ["frob"], [], ["show"], ["list", "x"], ["list", "-o", "xml"]):
            self.run_it(*wrong, code=64)

    def test_a_larger_limit_makes_a_message_decode(self):
        big = b"[" + b",".join([SAMPLE] * 3) + b"]"
        self.write(entry(1, big, reason="too_large"))
        self.config.write_text(self.config.read_text() + "input: {message_max: 4KiB}\n")
        self.assertIn("1 still: too_large", self.run_it("retry", code=65)[1])
        self.config.write_text(self.config.read_text().replace("4KiB", "1MiB"))
        self.assertEqual(len(self.run_it("retry")[0].splitlines()), 1)

    def test_what_replay_puts_aside_is_listed(self):
        p = subprocess.run([SEGWATCH, "replay", "-q", "--quarantine", str(self.file), "-"], input=b"{nonsense}\n",
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(p.returncode, 65)
        self.assertEqual([g["entries"] for g in self.groups()], [1])


if __name__ == "__main__":
    unittest.main()
