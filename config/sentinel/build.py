#!/usr/bin/env python3
"""Writes content.json, the ARM template of everything that Sentinel shows: analytics rules, ASIM parsers, hunting queries
and the workbook, out of the files beside it. `--check` fails if content.json is not what would be written.

The rules and queries are kept as the YAML that Sentinel's own content uses, so that they can also be taken one by one."""
import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE / "content.json"
WORKSPACE = "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))]"
WORKBOOK_ID = "5b0f5c1e-7c66-5a53-9c1e-0d3a1d7f6c00"


def sources(folder):
    return [yaml.safe_load(path.read_text()) for path in sorted((HERE / folder).glob("*.yaml"))]


def alert_rule(rule):
    properties = {
        "displayName": rule["name"], "description": rule["description"].strip(), "enabled": True,
        "severity": rule["severity"], "query": rule["query"].strip(), "queryFrequency": rule["queryFrequency"],
        "queryPeriod": rule["queryPeriod"], "triggerOperator": rule["triggerOperator"],
        "triggerThreshold": rule["triggerThreshold"], "suppressionEnabled": False, "suppressionDuration": "PT5H",
        "tactics": rule["tactics"], "techniques": rule["techniques"],
        "customDetails": rule["customDetails"], "alertDetailsOverride": rule["alertDetailsOverride"],
        "eventGroupingSettings": {"aggregationKind": "AlertPerResult"},
        "incidentConfiguration": {"createIncident": True, "groupingConfiguration": {
            "enabled": True, "reopenClosedIncident": False, "lookbackDuration": rule["lookbackDuration"],
            "matchingMethod": "Selected", "groupByEntities": [], "groupByAlertDetails": [],
            "groupByCustomDetails": rule["groupByCustomDetails"]}},
    }
    if "entityMappings" in rule:
        properties["entityMappings"] = rule["entityMappings"]
    return {"type": "Microsoft.OperationalInsights/workspaces/providers/alertRules", "apiVersion": "2024-09-01",
            "name": f"[concat(parameters('workspaceName'), '/Microsoft.SecurityInsights/{rule['id']}')]",
            "kind": rule["kind"], "properties": properties}


def saved_search(name, properties):
    return {"type": "Microsoft.OperationalInsights/workspaces/savedSearches", "apiVersion": "2020-08-01",
            "name": f"[concat(parameters('workspaceName'), '/{name}')]", "properties": properties}


def parser(path, parameters):
    return saved_search(path.stem, {
        "category": "ASIM", "displayName": path.stem, "functionAlias": path.stem, "functionParameters": parameters,
        "query": path.read_text().strip(), "version": 2})


def hunting_query(query):
    return saved_search(query["id"], {
        "category": "Hunting Queries", "displayName": query["name"], "query": query["query"].strip(), "version": 2,
        "tags": [{"name": "description", "value": query["description"]},
                 {"name": "tactics", "value": ",".join(query["tactics"])},
                 {"name": "techniques", "value": ",".join(query["techniques"])}]})


def workbook():
    book = json.loads((HERE / "workbook.json").read_text())
    return {"type": "Microsoft.Insights/workbooks", "apiVersion": "2022-04-01", "name": WORKBOOK_ID,
            "location": "[parameters('location')]", "kind": "shared",
            "properties": {"displayName": "segwatch", "serializedData": json.dumps(book), "version": "1.0",
                           "sourceId": WORKSPACE, "category": "sentinel"}}


def template():
    parameters = json.loads((HERE / "parsers/parameters.json").read_text())
    resources = [alert_rule(r) for r in sources("rules")]
    resources += [parser(p, parameters[p.stem]) for p in sorted((HERE / "parsers").glob("*.kql"))]
    resources += [hunting_query(q) for q in sources("hunting")]
    resources.append(workbook())
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "metadata": {"description": "Analytics rules, ASIM parsers, hunting queries and workbook for the findings of segwatch."},
        "parameters": {
            "workspaceName": {"type": "string", "metadata": {"description": "Log Analytics workspace with Sentinel."}},
            "location": {"type": "string", "defaultValue": "[resourceGroup().location]",
                         "metadata": {"description": "Of the workbook."}}},
        "resources": resources,
        "outputs": {}}


def main():
    text = json.dumps(template(), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            print("content.json is not what its sources say: run config/sentinel/build.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
