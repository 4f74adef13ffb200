#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Smoke test against the live services, for somebody with a subscription: deploys table, rule, role and content, delivers
# one incident marked as a sample through the rule, waits for its row and for Sentinel's incident, and removes nothing.
# A new role may take 30 minutes to act, a new table 15 to show: all is asked again for that long. tests/e2e/test_live.py
# runs it with an az of its own.
#
# usage: tests/live/sentinel.sh RESOURCE_GROUP WORKSPACE   with: az login; TENANT, CLIENT_ID, SECRET_FILE of an app registration
set -eu
[ $# -eq 2 ] || { sed -n '3,9p' "$0" >&2; exit 64; }
: "${TENANT:?}" "${CLIENT_ID:?}" "${SECRET_FILE:?}"
group=$1 workspace=$2
cd "$(dirname "$0")/../.."
program=${SEGWATCH:-build/daemon/segwatch}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# again WHAT COMMAND...: every 30 s until the command says 0, for half an hour; 78 is a configuration that will not do.
again() {
    what=$1
    shift
    for _ in $(seq 60); do
        code=0
        "$@" || code=$?
        [ "$code" != 0 ] || return 0
        [ "$code" != 78 ] || break
        echo "not yet: $what"
        sleep 30
    done
    echo "FAIL: $what" >&2
    exit 1
}

# rows KQL: whether the workspace has a row that it finds; a table that is not there yet has none.
rows() {
    n=$(az monitor log-analytics query -w "$workspace_id" --analytics-query "$1 | count" --query '[0].Count' -o tsv \
        2>"$work/query.log") || return 1
    [ "${n:-0}" != 0 ]
}

sample() {
    "$program" test-alert -c "$work/segwatch.yaml" --to sentinel >"$work/uid"
}

principal=$(az ad sp show --id "$CLIENT_ID" --query id -o tsv)
workspace_id=$(az monitor log-analytics workspace show -g "$group" -n "$workspace" --query customerId -o tsv)
az deployment group create -g "$group" --name segwatch-live --template-file config/sentinel/azuredeploy.json \
    --parameters "workspaceName=$workspace" "principalId=$principal" --query properties.outputs >"$work/outputs.json"
endpoint=$(jq -er .endpoint.value "$work/outputs.json")
dcr=$(jq -er .dcr.value "$work/outputs.json")

cat >"$work/segwatch.yaml" <<END
state: {dir: $work/state}
alerts: {file: $work/alerts.jsonl}
outputs:
  - {name: sentinel, kind: sentinel, endpoint: "$endpoint", dcr: "$dcr", min_severity: low,
     auth: {tenant: "$TENANT", client_id: "$CLIENT_ID", client_secret: {file: "$SECRET_FILE"}}}
END
mkdir -p "$work/state"
"$program" check -c "$work/segwatch.yaml"
again "the rule takes rows of this identity" "$program" check -c "$work/segwatch.yaml" --online
# the rules read a table that is there now; they take what is ingested from here on
az deployment group create -g "$group" --name segwatch-live-content --template-file config/sentinel/content.json \
    --parameters "workspaceName=$workspace" >"$work/content.json"
again "a sample is delivered" sample
uid=$(cat "$work/uid")
expr "$uid" : '[0-9a-f]\{32\}$' >/dev/null || { echo "FAIL: test-alert printed no id but '$uid'" >&2; exit 1; }
echo "delivered: $uid"
again "the row of $uid is in SegwatchFinding_CL; see the metrics of the data collection rule" \
    rows "SegwatchFinding_CL | where EventUid == '$uid' and IsSample"
echo "the row is there"
again "the incident of $uid is there; see the health of the analytics rule" rows "SecurityAlert
| where ExtendedProperties has '$uid'
| distinct SystemAlertId
| join kind=inner (SecurityIncident | mv-expand AlertId = AlertIds to typeof(string)) on \$left.SystemAlertId == \$right.AlertId
| distinct IncidentNumber"
echo "PASS: row and incident of $uid; close the incident, it is a sample"
