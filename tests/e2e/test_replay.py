"""The verb replay: what it puts aside, what it says when it cannot read or write."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(ROOT / "build")))
SAMPLE = ROOT / "tests/data/samples/sumo_vnet_v4_vnet_target.json"


def replay(*args, **kw):
    p = subprocess.run([SEGWATCH, "replay", *map(str, args)], stdout=kw.pop("stdout", subprocess.PIPE),
                       stderr=subprocess.PIPE, timeout=60, **kw)
    return p.returncode, (p.stdout or b"").decode(), p.stderr.decode()


class Replay(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        self.addCleanup(self.folder.cleanup)

    def test_bad_tuples_are_put_aside_with_their_place(self):
        good = SAMPLE.read_text()
        bad = good.replace("1733975962447,10.1.0.4", "1733975962447,10.1.0.400", 1)
        self.assertNotEqual(good, bad)
        (self.dir / "bad.json").write_text(bad)
        code, _, err = replay("--quarantine", self.dir / "aside.jsonl", self.dir / "bad.json")
        self.assertEqual(code, 0, err)
        rows = [json.loads(line) for line in (self.dir / "aside.jsonl").read_text().splitlines()]
        self.assertEqual([(r["reason"], r["file"]) for r in rows], [("tuple_address", str(self.dir / "bad.json"))])
        self.assertEqual(rows[0]["byte"], bad.index("1733975962447,10.1.0.400"))

    def test_what_cannot_be_read_is_named_and_the_rest_is_read(self):
        (self.dir / "in").mkdir()
        (self.dir / "in/good.json").write_bytes(SAMPLE.read_bytes())
        (self.dir / "in/gone.json").symlink_to("nowhere")
        (self.dir / "in/loop").symlink_to(".")
        code, _, err = replay("--summary", self.dir / "summary.json", self.dir / "in")
        self.assertEqual(code, 1, err)
        self.assertIn("gone.json", err)
        alone = self.dir / "alone.json"
        replay("--summary", alone, SAMPLE)
        mixed = json.loads((self.dir / "summary.json").read_text()) if (self.dir / "summary.json").exists() else {}
        self.assertEqual(mixed["tuples"], json.loads(alone.read_text())["tuples"])

    def test_what_came_too_late_to_be_judged_is_told(self):
        """Hours of a network in one stream, the newest first: nothing but the warning would show what is missing."""
        subprocess.run([BUILD / "tests/gen_scenario", "--hours", "30", "--hosts", "60", "--load", "10", "--out",
                        self.dir / "scenario"], check=True, timeout=60)
        lines = (self.dir / "scenario/messages.ndjson").read_bytes().splitlines(keepends=True)
        for name, rows in ("forth", lines), ("back", lines[::-1]):
            (self.dir / f"{name}.ndjson").write_bytes(b"".join(rows))
        config = self.dir / "scenario/config.yaml"
        code, _, err = replay("-c", config, self.dir / "forth.ndjson")
        self.assertEqual(code, 0)
        self.assertNotIn("too late", err)
        code, _, err = replay("-c", config, self.dir / "back.ndjson")
        self.assertEqual(code, 0)
        self.assertRegex(err, r"warning: \d+ records and \d+ tuples came too late to be judged: .*PATH of its own")

    def test_what_carries_no_flows_is_named(self):
        (self.dir / "notice.json").write_text('[{"subject":"/a/PT1H.json","eventType":"Microsoft.Storage.BlobCreated",'
                                              '"data":{"url":"https://x/PT1H.json"}}]')
        code, _, err = replay(self.dir / "notice.json")
        self.assertEqual(code, 0, err)
        self.assertIn("1 record carries no flows", err)


if __name__ == "__main__":
    unittest.main()
