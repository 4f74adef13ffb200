"""`segwatch explain`: a finding in words, commands that can be pasted, and nothing of a hostile line in either."""
import datetime
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

import yaml

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
        self.assertEqual(re.findall(r"resource (\S+) 'Microsoft.Network/networkSecurityGroups/securityRules@", out),
                         [f"deny{i + 1}" for i in range(len(commands))], "a file may hold all of them")
        self.assertEqual(len(set(re.findall(r"--priority (\d+)", out))), len(commands))
        for array in re.findall(r"AddressPrefixes: \[(.*)\]", out):
            self.assertRegex(array, r"^'[0-9a-f.:]+'(, '[0-9a-f.:]+')*$")

    def edited(self, *changes):
        """The incident with the evidence that changes say, each a copy of the first that the network let through."""
        line = json.loads(json.dumps(self.incident))
        first = next(e for e in line["evidences"] if e["data"]["outcome"] != "denied")
        line["evidences"] = []
        for change in changes:
            e = json.loads(json.dumps(first))
            for path, value in change.items():
                *way, key = path.split(".")
                at = e
                for step in way:
                    at = at[step]
                at[key] = value
            line["evidences"].append(e)
        path = self.dir / "edited.jsonl"
        path.write_text(json.dumps(line) + "\n")
        code, out, err = explain("--file", path, line["finding_info"]["uid"])
        self.assertEqual(code, 0, err)
        return out

    V6 = {"src_endpoint.ip": "fd00:1::4", "dst_endpoint.ip": "fd00:1::5"}

    def rules(self, out):
        return [{w: words[i + 1:] for i, w in enumerate(words) if w.startswith("--")}
                for words in map(shlex.split, re.findall(r"az network nsg rule create(?:.*\\\n)*.*", out))]

    def test_families_and_protocols_have_rules_of_their_own(self):
        out = self.edited({"dst_endpoint.port": 22}, self.V6, {"connection_info.protocol_num": 1, "dst_endpoint.port": 0},
                          {"connection_info.protocol_num": 132, "dst_endpoint.port": 7})
        rules = self.rules(out)
        self.assertEqual([r["--protocol"][0] for r in rules], ["Tcp", "Tcp", "Icmp", "*"])
        for rule in rules:
            words = rule["--source-address-prefixes"]
            ends = words[:words.index("--source-port-ranges")]
            to = rule["--destination-address-prefixes"]
            ends += to[:to.index("--destination-port-ranges")]
            self.assertEqual(len({":" in a for a in ends}), 1, ends)
        self.assertEqual([r["--destination-port-ranges"][0] for r in rules][2:], ["*", "*"])
        self.assertNotIn("'0'", out)
        self.assertIn("destinationPortRange: '*'", out)
        self.assertIn("Azure has no rule for protocol 132 alone", out)

    def test_every_rule_that_let_it_through_is_named(self):
        out = self.edited({"data.rule": "one"}, {"data.rule": "two", "dst_endpoint.port": 5}, {"data.rule": "one"})
        self.assertIn("  Rules one, two of ", out)
        self.assertEqual(len(self.rules(out)), 1)

    def test_what_does_not_fit_is_counted(self):
        acl = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/networkSecurityGroups/n"
        out = self.edited(*({"data.acl_id": f"{acl}{i}"} for i in range(10)), {"data.acl_id": f"{acl}9"})
        self.assertEqual(len(self.rules(out)), 8)
        self.assertIn("(3 more connections let through by other rules than fit: see the line itself)", out)
        out = self.edited(*({"dst_endpoint.port": i + 1} for i in range(17)))
        self.assertIn("(1 more connection than fit: see the line itself)", out)
        self.assertEqual(self.rules(out)[0]["--destination-port-ranges"], [str(i + 1) for i in range(16)])
        self.assertNotIn("more connection", self.edited(*({"dst_endpoint.port": i + 1} for i in range(16))))

    def stanzas(self, out):
        return yaml.safe_load("suppressions:\n" + out[out.index("  - id: known-"):])["suppressions"]

    def test_a_suppression_says_no_more_than_the_finding(self):
        actor = self.incident["unmapped"]["actor"]
        base = {"src_endpoint.ip": actor, "dst_endpoint.zone": "web", "dst_endpoint.port": 22}
        out = self.edited({**base, "data.detector": "new_admin_edge"},
                          {**base, "data.detector": "new_admin_edge", "dst_endpoint.zone": "10.9.0.0/24"},
                          {**base, "data.detector": "vertical_scan"},
                          {**base, "data.detector": "pivot_chain", "dst_endpoint.zone": "internet",
                           "dst_endpoint.ip": "10.9.8.7", "connection_info.protocol_num": 17},
                          {**base, "data.detector": "admin_fanout", "src_endpoint.ip": "10.99.99.99"})
        rows = self.stanzas(out)
        self.assertEqual([r["detectors"] for r in rows], [["new_admin_edge"], ["vertical_scan"], ["pivot_chain"]])
        self.assertEqual({tuple(r["source"]) for r in rows}, {(actor,)})
        self.assertEqual([r["destination"] for r in rows], [["web", "10.9.0.0/24"], ["web"], ["10.9.8.7"]])
        self.assertEqual([r.get("services") for r in rows], [["22/tcp"], None, ["22/udp"]], "a scan of ports is about many")
        end = datetime.datetime.fromtimestamp(self.incident["end_time"] // 1000, datetime.timezone.utc)
        self.assertEqual({r["expires"] for r in rows}, {(end + datetime.timedelta(days=30)).date()})

    def test_the_suppression_can_be_pasted_and_keeps_back_what_it_says(self):
        _, out, _ = explain("--file", self.alerts, self.incident["finding_info"]["uid"])
        stanza = out[out.index("  - id: known-"):]
        (self.dir / "s.yaml").write_text("suppressions:\n" + stanza)
        (self.dir / "c.yaml").write_text((self.dir / "config.yaml").read_text() + "suppressions: s.yaml\n")
        p = subprocess.run([SEGWATCH, "check", "-c", str(self.dir / "c.yaml")], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        p = subprocess.run([SEGWATCH, "replay", "-q", "-c", str(self.dir / "c.yaml"), "--suppressed", str(self.dir / "kept"),
                            str(self.dir / "messages.ndjson")], capture_output=True, text=True, timeout=120)
        self.assertEqual(p.returncode, 0, p.stderr)
        kept = [json.loads(line) for line in (self.dir / "kept").read_text().splitlines()]
        self.assertGreater(len(kept), 0)
        self.assertEqual({k["actor"] for k in kept}, {self.incident["unmapped"]["actor"]})
        self.assertLessEqual({k["detector"] for k in kept}, {r["detectors"][0] for r in self.stanzas(out)})

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
            e["dst_endpoint"]["zone"] = evil
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
        for row in self.stanzas(out):
            self.assertEqual(row["id"], f"known-ffffffff-{row['id'].rsplit('-', 1)[1]}")
            for end in row.get("destination", []):
                self.assertRegex(end, r"^[0-9a-f.:]+$")
        for e in bad["evidences"]:
            e["data"]["detector"] = evil
        path.write_text(json.dumps(bad) + "\n")
        _, out, _ = explain("--file", path, "f" * 32)
        self.assertNotIn("suppressions:", out)


if __name__ == "__main__":
    unittest.main()
