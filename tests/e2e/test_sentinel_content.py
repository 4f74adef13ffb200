"""What is deployed into Microsoft Sentinel: KQL that Kusto's own parser accepts over the columns that rows have, templates
that are what their sources say, rules whose references lead somewhere.

The parser is npm's @kusto/language-service-next (MIT), fetched once into build-kusto/ in the root of the project."""
import json
import os
import pathlib
import re
import subprocess
import tarfile
import unittest

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
CONTENT = ROOT / "config/sentinel"
PACKAGE, VERSION = "@kusto/language-service-next", "12.4.1"
# tables of other products, as far as the queries use them
FOREIGN = {"SecurityAlert": "(TimeGenerated:datetime, AlertName:string, ProviderName:string, Entities:string)"}
# https://learn.microsoft.com/azure/sentinel/normalization-schema-alert: mandatory columns of AlertEvent 0.1
MANDATORY = {"TimeGenerated", "EventCount", "EventStartTime", "EventEndTime", "EventType", "EventProduct", "EventVendor",
             "EventSchema", "EventSchemaVersion", "EventUid"}
TACTICS = {"Reconnaissance", "ResourceDevelopment", "InitialAccess", "Execution", "Persistence", "PrivilegeEscalation",
           "DefenseEvasion", "CredentialAccess", "Discovery", "LateralMovement", "Collection", "CommandAndControl",
           "Exfiltration", "Impact"}


def kusto():
    folder = ROOT / "build-kusto"
    done = folder / f"package-{VERSION}"
    if not done.exists():
        folder.mkdir(exist_ok=True)
        p = subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=folder, capture_output=True, text=True,
                           timeout=300)
        if p.returncode:
            raise RuntimeError(f"npm could not fetch {PACKAGE}:\n{p.stderr[-2000:]}")
        with tarfile.open(folder / p.stdout.strip().splitlines()[-1]) as tar:
            for member in tar:
                if member.name in ("package/bridge.min.js", "package/Kusto.Language.Bridge.min.js"):
                    tar.extract(member, folder)
        (folder / "package").rename(done)
    return done


def columns():
    p = subprocess.run([SEGWATCH, "schema", "sentinel", "--as", "columns"], capture_output=True, text=True, timeout=60,
                       check=True)
    return json.loads(p.stdout)


def check(queries, functions=()):
    schema = "(" + ", ".join(f"{c['name']}:{c['type'].replace('boolean', 'bool')}" for c in columns()) + ")"
    given = {"tables": {"SegwatchFinding_CL": schema, **FOREIGN}, "queries": queries, "functions": list(functions)}
    p = subprocess.run(["node", str(ROOT / "tests/sentinel/check_kql.js"), str(kusto())], input=json.dumps(given),
                       capture_output=True, text=True, timeout=120)
    if p.returncode:
        raise RuntimeError(p.stderr[-2000:])
    return json.loads(p.stdout)


def sources(folder):
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONTENT / folder).glob("*.yaml"))}


def seconds(duration):
    m = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", duration)
    return sum(int(n or 0) * unit for n, unit in zip(m.groups(), (86400, 3600, 60)))


def late(rule):
    """What keeps a rule from taking each row once, also a row that waited in the outbox. Sentinel gives a query only rows
    whose TimeGenerated is within queryPeriod; an outage of six hours is what the outbox promises to hold."""
    every, period = seconds(rule["queryFrequency"]), seconds(rule["queryPeriod"])
    said = []
    if period < 6 * 3600 + every + 15 * 60:  # and the time until a row can be queried
        said.append("a row of an outage of six hours is out of sight")
    # https://learn.microsoft.com/azure/sentinel/scheduled-rules-overview#query-scheduling
    if not 300 <= every <= period <= 14 * 86400:
        said.append("Sentinel does not take the schedule")
    if f"| where ingestion_time() > ago({every // 60}m)\n" not in rule["query"]:
        said.append("a row is taken by several runs, or by none")
    return said


class Content(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rules, cls.hunting = sources("rules"), sources("hunting")
        cls.workbook = json.loads((CONTENT / "workbook.json").read_text())
        parameters = json.loads((CONTENT / "parsers/parameters.json").read_text())
        cls.parsers = {p.stem: {"name": p.stem, "parameters": parameters[p.stem], "body": p.read_text()}
                       for p in sorted((CONTENT / "parsers").glob("*.kql"))}
        queries = [{"name": n, "text": q["query"]} for n, q in {**cls.rules, **cls.hunting}.items()]
        queries += [{"name": "workbook: " + i["name"], "text": i["content"]["query"]} for i in cls.workbook["items"] if i["type"] == 3]
        queries += [{"name": "control: column", "text": "SegwatchFinding_CL | where NoSuchColumn == 1"},
                    {"name": "control: syntax", "text": "SegwatchFinding_CL | whree EventUid == ''"}]
        cls.n_queries = len(queries)
        cls.checked = check(queries, cls.parsers.values())

    def test_every_query_is_understood_by_kusto(self):
        self.assertGreaterEqual(self.n_queries, 14)
        for name, result in self.checked.items():
            with self.subTest(name):
                if name.startswith("control"):
                    self.assertNotEqual(result["errors"], [], "the checker must be able to fail")
                else:
                    self.assertEqual(result["errors"], [])

    def test_rules_map_columns_that_their_queries_return(self):
        ids = set()
        for name, rule in self.rules.items():
            with self.subTest(name):
                returned = set(self.checked[name]["columns"])
                wanted = {f["columnName"] for m in rule.get("entityMappings", []) for f in m["fieldMappings"]}
                wanted |= set(rule["customDetails"].values())
                override = rule["alertDetailsOverride"]
                wanted |= {v for k, v in override.items() if k.endswith("ColumnName")}
                for text in (v for k, v in override.items() if k.endswith("Format")):
                    wanted |= set(re.findall(r"{{(\w+)}}", text))
                self.assertEqual(wanted - returned, set())
                self.assertEqual(set(rule["groupByCustomDetails"]) - set(rule["customDetails"]), set())
                self.assertLessEqual(len(rule.get("entityMappings", [])), 10)
                self.assertEqual(set(rule["tactics"]) - TACTICS, set())
                self.assertTrue(all(re.fullmatch(r"T\d{4}", t) for t in rule["techniques"]))
                self.assertIn(rule["severity"], ("High", "Medium", "Low", "Informational"))
                self.assertEqual(late(rule), [])
                ids.add(rule["id"])
        self.assertEqual(len(ids), len(self.rules), "ids are unique")
        mapped = {m["entityType"] for r in self.rules.values() for m in r.get("entityMappings", [])}
        # flow logs know addresses, never names: a Host entity would be one whose name is an address
        self.assertEqual(mapped, {"IP", "AzureResource"})

    def test_a_rule_that_misses_what_comes_late_would_be_seen(self):
        for change in ({"queryPeriod": "PT1H"}, {"queryPeriod": "PT6H"}, {"queryPeriod": "P15D"}, {"queryFrequency": "PT10M"},
                       {"query": "SegwatchFinding_CL | where TimeGenerated > ago(5m)"}):
            self.assertNotEqual(late({**self.rules["incident"], **change}), [], change)

    def test_what_the_incident_rule_says_is_what_its_query_takes(self):
        rule = self.rules["incident"]
        taken = re.search(r"FindingActivity in \(([^)]*)\)", rule["query"]).group(1)
        self.assertEqual(taken, '"Create", "Update"')
        self.assertRegex(" ".join(rule["description"].split()), r"Updates land in the same .*\"Close\"\) and no alert")
        self.assertIn('FindingKind == "incident"', rule["query"], "and so a sample is one")
        self.assertIn('FindingKind == "health"', self.rules["visibility"]["query"], "and no sample is")

    def test_parsers_return_what_the_schema_demands(self):
        for name in self.parsers:
            with self.subTest(name):
                self.assertEqual(MANDATORY - set(self.checked[name]["columns"]), set())

    def test_the_template_is_what_its_sources_say(self):
        p = subprocess.run(["/usr/bin/python3", str(CONTENT / "build.py"), "--check"], capture_output=True, text=True,
                           timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.check_template(json.loads((CONTENT / "content.json").read_text()))

    def test_the_deployment_holds_every_column(self):
        p = subprocess.run([SEGWATCH, "schema", "sentinel", "--as", "arm"], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual((CONTENT / "azuredeploy.json").read_text(), p.stdout,
                         "run: segwatch schema sentinel --as arm > config/sentinel/azuredeploy.json")
        template = json.loads(p.stdout)
        self.check_template(template)
        names = [c["name"] for c in columns()]
        by_type = {r["type"]: r for r in template["resources"]}
        rule = by_type["Microsoft.Insights/dataCollectionRules"]["properties"]
        table = by_type["Microsoft.OperationalInsights/workspaces/tables"]["properties"]["schema"]
        self.assertEqual([c["name"] for c in table["columns"]], names)
        self.assertEqual([c["name"] for c in rule["streamDeclarations"]["Custom-SegwatchFinding"]["columns"]], names)
        self.assertIn("Microsoft.Authorization/roleAssignments", by_type)

    def wrong(self, template):
        """What the reference of Azure Resource Manager does not allow: unknown keys, wrong types, values and bounds."""
        schema = json.loads((ROOT / "tests/sentinel/arm.schema.json").read_text())
        return ["/".join(map(str, e.absolute_path)) + ": " + e.message
                for e in jsonschema.Draft7Validator(schema).iter_errors(template)]

    def test_a_template_with_a_mistake_is_not_taken(self):
        def change(name, edit):
            template = json.loads((CONTENT / name).read_text())
            by_type = {r["type"].split("/")[-1]: r for r in template["resources"]}
            edit(by_type)
            return template

        def column(key, value):
            return lambda r: r["tables"]["properties"]["schema"]["columns"][3].update({key: value})

        def rule(key, value):
            return lambda r: r["alertRules"]["properties"].update({key: value})

        for name, edit in (
                ("azuredeploy.json", lambda r: r["tables"].update(apiVersion="2021-12-01-preview")),
                ("azuredeploy.json", lambda r: r["tables"]["properties"].update(retention=90)),
                ("azuredeploy.json", column("type", "text")), ("azuredeploy.json", column("name", "1st")),
                ("azuredeploy.json", lambda r: r["dataCollectionRules"].pop("kind")),
                ("azuredeploy.json", lambda r: r["dataCollectionRules"]["properties"]["dataFlows"][0].pop("outputStream")),
                ("azuredeploy.json", lambda r: r["roleAssignments"]["properties"].update(principalType="Machine")),
                ("azuredeploy.json", lambda r: r["roleAssignments"]["properties"].update(roleDefinitionId="Publisher")),
                ("content.json", rule("severity", "Critical")), ("content.json", rule("queryPeriod", "1h")),
                ("content.json", rule("triggerThreshold", "0")), ("content.json", rule("tactic", [])),
                ("content.json", rule("entityMappings", [{"entityType": "Ip", "fieldMappings": []}])),
                ("content.json", lambda r: r["savedSearches"]["properties"].pop("query")),
                ("content.json", lambda r: r["workbooks"].update(kind="user"))):
            template = change(name, edit)
            with self.subTest(f"{name} {template != json.loads((CONTENT / name).read_text())}"):
                self.assertNotEqual(self.wrong(template), [])

    def check_template(self, template):
        """The shape that Azure Resource Manager demands, and no reference to a parameter that is not there."""
        self.assertEqual(self.wrong(template), [])
        self.assertRegex(template["$schema"], r"^https://schema\.management\.azure\.com/schemas/2019-04-01/")
        self.assertRegex(template["contentVersion"], r"^\d+\.\d+\.\d+\.\d+$")
        for resource in template["resources"]:
            self.assertLessEqual({"type", "apiVersion", "name"}, set(resource))
            self.assertRegex(resource["apiVersion"], r"^\d{4}-\d{2}-\d{2}(-preview)?$")
            depth = resource["type"].count("/")
            if not resource["name"].startswith("[") or "concat" in resource["name"]:
                self.assertEqual(resource["name"].count("/"), depth - 1, resource["name"])
        used = set(re.findall(r"parameters\('(\w+)'\)", json.dumps(template)))
        self.assertEqual(used, set(template["parameters"]))
        for text in re.findall(r'"(\[[^"]*\])"', json.dumps(template)):
            self.assertEqual(text.count("("), text.count(")"), text)

    def test_every_cell_of_the_comparison_has_a_source(self):
        text = (ROOT / "docs/SENTINEL.md").read_text()
        table = text.split("## Compared with")[1].split("## Not tried")[0]
        links = dict(re.findall(r"(?m)^\[([^\]]+)\]: (https://\S+)$", table))
        rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
        self.assertGreaterEqual(len(rows), 6)
        used = set(re.findall(r"\]\[([^\]]+)\]", table))
        self.assertEqual(used, set(links), "each source is there, and used")
        for name, *others, _ours in rows:
            self.assertEqual(len(others), 3, name)
            for cell in others:
                self.assertTrue(re.search(r"\]\[[^\]]+\]", cell) or cell.strip() == "not documented", f"{name}: {cell}")


if __name__ == "__main__":
    unittest.main()
