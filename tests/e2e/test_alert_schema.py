# SPDX-License-Identifier: Apache-2.0
"""Every kind of finding validates against the schema that ships, whatever texts reach the encoder."""
import json
import os
import pathlib
import subprocess
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))


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


if __name__ == "__main__":
    unittest.main()
