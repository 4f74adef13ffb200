"""`segwatch explain`: a finding in words, commands that can be pasted, and nothing of a hostile line in either."""
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
GENERATOR = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(ROOT / "build"))) / "tests/gen_scenario"


def explain(*args):
    p = subprocess.run([SEGWATCH, "explain", *map(str, args)], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr


class Explain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.dir = pathlib.Path(folder.name)
        cls.alerts = cls.dir / "alerts.jsonl"
        subprocess.run([str(GENERATOR), "--seed", "1", "--hours", "30", "--hosts", "80", "--attack", "full", "--out",
                        str(cls.dir)], check=True, timeout=120, stdout=subprocess.DEVNULL)
        with open(cls.alerts, "w") as out:
            subprocess.run([SEGWATCH, "replay", "-q", "-c", str(cls.dir / "config.yaml"), str(cls.dir / "messages.ndjson")],
                           check=True, stdout=out, timeout=120)
        cls.lines = [json.loads(line) for line in cls.alerts.read_text().splitlines()]
        cls.incident = [l for l in cls.lines if l["unmapped"]["kind"] == "incident"][-1]

    def test_the_newest_line_is_told(self):
        uid = self.incident["finding_info"]["uid"]
        code, out, err = explain("--file", self.alerts, uid)
        self.assertEqual(code, 0, err)
        self.assertIn(f"Finding      {uid} ({self.incident['activity_name']}, line {self.incident['metadata']['sequence']})",
                      out)
        self.assertIn(self.incident["message"], out)
        for sentence in self.incident["finding_info"]["desc"].splitlines():
            self.assertIn(sentence, out)
        self.assertEqual(explain("--file", self.alerts, uid[:8])[1], out)
        self.assertEqual(explain("--file", self.alerts, self.incident["metadata"]["uid"])[0], 0)

    def test_each_line_of_evidence_stands_once(self):
        _, out, _ = explain("--file", self.alerts, self.incident["finding_info"]["uid"])
        lines = out.split("\nEvidence\n")[1].split("\n\n")[0].splitlines()
        self.assertGreater(len(lines), 3)
        self.assertLess(len(lines), len(self.incident["evidences"]), "some tuple is evidence of several signals here")
        self.assertEqual(len(lines), len(set(lines)))

    def test_a_rule_is_denied_on_the_side_that_applied_it(self):
        seen = set()
        for line in self.lines:
            for e in line["evidences"]:
                for name, logged in (("DefaultRule_AllowVnetInBound", "inbound"), ("DefaultRule_AllowVnetOutBound", "outbound")):
                    if e["data"]["rule"] == name:
                        seen.add(name)
                        self.assertEqual(e["data"]["logged"], logged, e)
        self.assertIn("DefaultRule_AllowVnetInBound", seen)

    def test_the_deny_rules_are_commands_over_the_evidence(self):
        _, out, _ = explain("--file", self.alerts, self.incident["finding_info"]["uid"])
        commands = re.findall(r"az network nsg rule create(?:.*\\\n)*.*", out)
        self.assertGreater(len(commands), 1)
        allowed = [e for e in self.incident["evidences"] if e["data"]["outcome"] != "denied"]
        groups = {e["data"]["acl_id"].rsplit("/", 1)[1] for e in allowed}
        for command in commands:
            words = shlex.split(command)
            value = {w: words[i + 1] for i, w in enumerate(words) if w.startswith("--")}
            self.assertIn(value["--nsg-name"], groups)
            self.assertEqual(value["--access"], "Deny")
            self.assertIn(value["--direction"], ("Inbound", "Outbound"))
            at = words.index("--source-address-prefixes") + 1
            self.assertIn(words[at], {e["src_endpoint"]["ip"] for e in allowed})
        self.assertEqual(out.count("resource deny 'Microsoft.Network/networkSecurityGroups/securityRules@"), len(commands))
        for array in re.findall(r"AddressPrefixes: \[(.*)\]", out):
            self.assertRegex(array, r"^'[0-9a-f.:]+'(, '[0-9a-f.:]+')*$")

    def test_the_suppression_can_be_pasted(self):
        _, out, _ = explain("--file", self.alerts, self.incident["finding_info"]["uid"])
        stanza = out[out.index("  - id: known-"):]
        (self.dir / "s.yaml").write_text("suppressions:\n" + stanza)
        (self.dir / "c.yaml").write_text("suppressions: s.yaml\n")
        p = subprocess.run([SEGWATCH, "check", "-c", str(self.dir / "c.yaml")], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def test_rotated_files_are_read_and_what_is_not_there_is_said(self):
        with tempfile.TemporaryDirectory() as d:
            new = pathlib.Path(d) / "alerts.jsonl"
            new.write_text("")
            (pathlib.Path(d) / "alerts.jsonl.1").write_text(self.alerts.read_text())
            self.assertEqual(explain("--file", new, self.incident["finding_info"]["uid"])[0], 0)
            code, _, err = explain("--file", new, "0123456789abcdef")
            self.assertEqual((code, "no finding '0123456789abcdef'" in err), (1, True), err)
            self.assertEqual(explain("--file", pathlib.Path(d) / "gone.jsonl", "0123456789abcdef")[0], 1)
        for wrong in (["--file", self.alerts], ["--file", self.alerts, "xyz"], ["--file", self.alerts, "0a"]):
            self.assertEqual(explain(*wrong)[0], 64)

    def test_a_hostile_line_reaches_neither_terminal_nor_command(self):
        bad = json.loads(json.dumps(self.incident))
        evil = "x'; rm -rf / #\x1b[31m\u202e"
        bad["finding_info"].update(uid="f" * 32, title=evil, desc=evil + "\n" + evil)
        bad["message"] = bad["unmapped"]["segment_src"] = evil
        bad["unmapped"]["detectors"] = [evil]
        for e in bad["evidences"]:
            e["data"].update(rule=evil, acl_id=f"/subscriptions/{evil}/resourceGroups/{evil}/networkSecurityGroups/$(id)",
                             outcome="ok")
        bad["evidences"][0]["src_endpoint"]["ip"] = "$(id)"
        bad["end_time"] = 9e18
        path = self.dir / "bad.jsonl"
        path.write_text(json.dumps(bad) + "\n")
        code, out, err = explain("--file", path, "f" * 32)
        self.assertEqual(code, 0, err)
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\u202e", out)
        commands = re.findall(r"az network nsg rule create(?:.*\\\n)*.*", out)
        self.assertGreater(len(commands), 0)
        for command in commands:
            self.assertIn("--resource-group RESOURCE_GROUP --nsg-name NSG", command)
            self.assertNotRegex(command, r"[;$`#&|<>]")
        self.assertIn("detectors: [DETECTOR]", out)


if __name__ == "__main__":
    unittest.main()
