#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at what segwatch deploys with Microsoft's own files of Azure Resource Manager.

  tests/live/arm_schemas.py FOLDER    FOLDER: `schemas` of github.com/Azure/azure-resource-manager-schemas (MIT)

By hand, because nobody publishes them as a package; `./dev test` has tests/sentinel/arm.schema.json. Exit 1 if there is
anything but what is known: where the files lag behind what Microsoft documents and what its service takes."""
import json
import pathlib
import sys

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMON = "https://schema.management.azure.com/schemas/common/definitions.json"
FILES = {  # type of resource: file, path of the definition, what of the resource it describes
    "Microsoft.OperationalInsights/workspaces/tables":
        ("2022-10-01/Microsoft.OperationalInsights.json", "resourceDefinitions", "workspaces_tables", None),
    "Microsoft.OperationalInsights/workspaces/savedSearches":
        ("2020-08-01/Microsoft.OperationalInsights.json", "resourceDefinitions", "workspaces_savedSearches", None),
    "Microsoft.Insights/dataCollectionRules":
        ("2023-03-11/Microsoft.Insights.json", "resourceDefinitions", "dataCollectionRules", None),
    "Microsoft.Authorization/roleAssignments":
        ("2022-04-01/Microsoft.Authorization.json", "*esourceDefinitions", "roleAssignments", None),
    "Microsoft.OperationalInsights/workspaces/providers/alertRules":
        ("2024-09-01/Microsoft.SecurityInsights.json", "definitions", "ScheduledAlertRule", ("kind", "properties")),
    "Microsoft.Insights/workbooks":
        ("2022-04-01/Microsoft.Insights.Application.json", "resourceDefinitions", "workbooks", None),
}
KNOWN = {  # place: why it is right all the same
    ("Microsoft.Insights/dataCollectionRules", "kind"): "Direct: a rule with an endpoint of its own, newer than the file",
    ("Microsoft.Insights/dataCollectionRules", "properties/dataFlows/0/streams"): "the file lists Microsoft's own streams",
    ("Microsoft.Insights/dataCollectionRules", "properties/dataFlows/0/streams/0"): "the file lists Microsoft's own streams",
}


def deepest(error):
    """The errors without alternatives below, but for those that say that it is no expression."""
    if not error.context:
        return [] if "[" in str(error.validator_value) and error.validator == "pattern" else [error]
    below = [e for c in error.context for e in deepest(c)]
    longest = max((len(e.absolute_path) for e in below), default=0)
    return [e for e in below if len(e.absolute_path) == longest] or [error]


def errors(folder, resource):
    name, section, definition, keys = FILES[resource["type"]]
    schema = json.loads((folder / name).read_text())
    rows = next(schema[s][definition] for s in schema if s.endswith(section.lstrip("*")) and definition in schema[s])
    common = json.loads((folder / "common/definitions.json").read_text())
    resolver = jsonschema.RefResolver(schema["id"], schema, store={COMMON: common})
    part = {k: resource[k] for k in keys} if keys else resource
    found = {}
    for e in jsonschema.Draft4Validator(rows, resolver=resolver).iter_errors(part):
        for d in deepest(e):
            found["/".join(map(str, d.absolute_path))] = d.message[:160]
    for key in set(part) - set(rows["properties"]) - {"condition", "scope", "dependsOn"}:
        found[key] = "is not known"
    return found


def main():
    folder, bad, n = pathlib.Path(sys.argv[1]), 0, 0
    for name in "azuredeploy", "content":
        for resource in json.loads((ROOT / f"config/sentinel/{name}.json").read_text())["resources"]:
            n += 1
            for place, message in errors(folder, resource).items():
                known = KNOWN.get((resource["type"], place))
                bad += not known
                print(f"{name}: {resource['type']}: {place}: {message}{f' (known: {known})' if known else ''}")
    print(f"{n} resources, {bad} errors")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
