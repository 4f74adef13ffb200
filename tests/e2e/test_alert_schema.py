# SPDX-License-Identifier: Apache-2.0
"""Every kind of finding validates against the schema that ships, whatever texts reach the encoder."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))


PROGRAM = os.environ.get("SEGWATCH", str(BUILD / "daemon/segwatch"))


def output(*args):
    return subprocess.run([BUILD / "tests/findings", *args], check=True, stdout=subprocess.PIPE).stdout


def reject_twice(pairs):
    keys = [k for k, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"a key occurs twice: {keys}")
    return dict(pairs)


class AlertSchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads((ROOT / "config/alert.schema.json").read_text())
        cls.raw = output()
        cls.lines = [json.loads(l, object_pairs_hook=reject_twice) for l in cls.raw.decode("utf-8").splitlines()]

    def test_the_schema_is_a_schema(self):
        jsonschema.Draft7Validator.check_schema(self.schema)

    def test_every_kind_validates(self):
        self.assertEqual([l["unmapped"]["kind"] for l in self.lines],
                         ["incident", "incident", "incident", "detector", "health"])
        for line in self.lines:
            jsonschema.Draft7Validator(self.schema).validate(line)

    def test_a_field_that_is_not_in_the_schema_is_refused_at_every_level(self):
        validator = jsonschema.Draft7Validator(self.schema)
        for path in [(), ("metadata",), ("finding_info",), ("evidences", 0), ("evidences", 0, "data"), ("unmapped",)]:
            line = json.loads(json.dumps(self.lines[0]))
            at = line
            for key in path:
                at = at[key]
            at["surplus"] = 1
            self.assertFalse(validator.is_valid(line), path)

    def test_lines_are_valid_utf8_without_control_bytes(self):
        self.assertFalse([b for b in self.raw if b < 32 and b != 10])
        self.raw.decode("utf-8", errors="strict")

    def test_ids_and_names_of_ocsf_agree(self):
        for line in self.lines:
            self.assertEqual(line["type_uid"], line["class_uid"] * 100 + line["activity_id"])
            self.assertEqual(line["type_name"], f"{line['class_name']}: {line['activity_name']}")

    def test_long_texts_are_cut_between_characters(self):
        rules = [e["data"]["rule"] for e in self.lines[0]["evidences"]]
        self.assertEqual(rules[1], "\u20ac" * 170)
        self.assertIn("\ufffd", rules[0])

    def test_a_line_stays_far_below_64_kib(self):
        self.assertLess(max(len(l) for l in self.raw.splitlines()), 48 * 1024)

    def test_a_merge_names_the_survivor_and_only_then(self):
        self.assertEqual([("merged_into" in l["unmapped"]) for l in self.lines], [False, False, True, False, False])

    def test_the_same_finding_gives_the_same_bytes(self):
        self.assertEqual(output(), self.raw)

    def test_signal_lines_are_json(self):
        line = json.loads(output("--signal"), object_pairs_hook=reject_twice)
        self.assertEqual(line["targets"], ["10.2.0.1", "fd00:1::5"])
        self.assertEqual(line["sentence"], "scanned 10 hosts \ufffd")


class Attack(unittest.TestCase):
    """A small network for ten hours, with a whole attack in it, through the real program."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        at = pathlib.Path(cls.folder.name)
        subprocess.run([BUILD / "tests/gen_scenario", "--hosts", "60", "--minutes", "600", "--attack", "full", "--out", at],
                       check=True, stderr=subprocess.DEVNULL)
        cls.truth = json.loads((at / "truth.json").read_text())
        run = subprocess.run([PROGRAM, "replay", "-c", at / "config.yaml", at / "messages.ndjson"], check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        cls.lines = [json.loads(l) for l in run.stdout.splitlines()]
        cls.guilty = {s["actor"] for s in cls.truth["steps"]}
        cls.guilty |= {h for s in cls.truth["steps"] if s["step"] == "pivot" for h in s["hosts"]}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_every_line_validates(self):
        schema = json.loads((ROOT / "config/alert.schema.json").read_text())
        self.assertGreater(len(self.lines), 1)
        for line in self.lines:
            jsonschema.Draft7Validator(schema).validate(line)

    def test_the_attack_is_one_critical_incident(self):
        incidents = {l["finding_info"]["uid"]: l for l in self.lines if l["unmapped"]["kind"] == "incident"}
        self.assertEqual(len(incidents), 1)
        last = next(iter(incidents.values()))
        self.assertEqual(last["severity"], "Critical")
        steps = {s["step"]: s for s in self.truth["steps"]}
        self.assertEqual(last["unmapped"]["actor"], steps["scan"]["actor"])
        self.assertIn(f"entered from {steps['entry']['actor']}", last["message"])
        for s in self.truth["steps"]:
            self.assertTrue(set(s["detectors"].split(",")) & set(last["unmapped"]["detectors"]), s["step"])

    def test_nothing_else_is_told(self):
        for line in self.lines:
            own = line["unmapped"]
            self.assertTrue({own["actor"], *own["compromised"]} & self.guilty, line["message"])

    def test_severity_never_falls_and_lines_are_numbered(self):
        seen = {}
        for line in self.lines:
            uid = line["finding_info"]["uid"]
            number, severity = seen.get(uid, (0, 0))
            self.assertEqual(line["metadata"]["sequence"], number + 1)
            self.assertGreaterEqual(line["severity_id"], severity)
            self.assertEqual(line["activity_name"] == "Create", number == 0)
            seen[uid] = number + 1, line["severity_id"]


if __name__ == "__main__":
    unittest.main()
