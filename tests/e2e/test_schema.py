# SPDX-License-Identifier: Apache-2.0
"""`segwatch schema` prints what ships: byte by byte the files of config/, and they are schemas."""
import json
import os
import pathlib
import subprocess
import unittest

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))


def schema(*args):
    p = subprocess.run([SEGWATCH, "schema", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    return p.returncode, p.stdout, p.stderr.decode()


class Schema(unittest.TestCase):
    def test_prints_the_shipped_files(self):
        for name, file in (("ocsf", "alert.schema.json"), ("config", "segwatch-config.schema.json")):
            code, out, _ = schema(name)
            self.assertEqual(code, 0)
            self.assertEqual(out, (ROOT / "config" / file).read_bytes(), name)
            jsonschema.Draft202012Validator.check_schema(json.loads(out))

    def test_the_fields_of_cef(self):
        code, out, _ = schema("cef")
        self.assertEqual((code, out), (0, (ROOT / "config/cef.fields.json").read_bytes()),
                         "run: segwatch schema cef > config/cef.fields.json")
        self.assertEqual(schema("cef", "--as", "columns")[1], out)
        fields = {f["key"]: f for f in json.loads(out)}
        self.assertEqual([f["key"] for f in fields.values() if f["type"] == "header"],
                         ["Device Vendor", "Device Product", "Device Version", "Device Event Class ID", "Name", "Severity"])
        self.assertEqual((fields["cs4"]["label"], fields["cs4"]["max"]), ("Rule", 4000))
        code, text, _ = schema("cef", "--as", "markdown")
        self.assertEqual(code, 0)
        self.assertEqual(len(text.decode().splitlines()), len(fields) + 2)
        # what it says of the finding is in the schema of the finding
        ocsf = json.loads(schema("ocsf")[1])
        for f in fields.values():
            at = ocsf
            for step in f["from"].replace("[0]", "[]").split("."):
                at = at["properties"][step.removesuffix("[]")]
                at = ocsf["definitions"][at["$ref"].rsplit("/", 1)[1]] if "$ref" in at else at
                at = at["items"] if step.endswith("[]") else at

    def test_wrong_ones(self):
        for args, word in ((["frob"], "no schema 'frob'"), ([], "is needed"), (["ocsf", "config"], "is needed"),
                           (["ocsf", "--as", "arm"], "--as belongs to"), (["sentinel", "--as", "x"], "takes columns"),
                           (["cef", "--as", "arm"], "takes columns or markdown")):
            code, out, err = schema(*args)
            self.assertEqual((code, out), (64, b""), args)
            self.assertIn(word, err)

    def test_a_full_disk_is_no_success(self):
        with open("/dev/full", "wb") as full:
            code = subprocess.run([SEGWATCH, "schema", "ocsf"], stdout=full, stderr=subprocess.DEVNULL).returncode
        self.assertEqual(code, 1)


if __name__ == "__main__":
    unittest.main()
