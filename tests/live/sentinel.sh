#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Smoke test against the live services, for somebody with a subscription: deploys table, rule and role, delivers one
# finding marked as a sample through the rule, waits for the row, and removes nothing (it says how to).
#
# usage: tests/live/sentinel.sh RESOURCE_GROUP WORKSPACE   with: az login; TENANT, CLIENT_ID, SECRET_FILE of an app registration
set -eu
[ $# -eq 2 ] || { sed -n '3,6p' "$0" >&2; exit 64; }
: "${TENANT:?}" "${CLIENT_ID:?}" "${SECRET_FILE:?}"
group=$1 workspace=$2
cd "$(dirname "$0")/../.."
program=${SEGWATCH:-build/daemon/segwatch}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

principal=$(az ad sp show --id "$CLIENT_ID" --query id -o tsv)
az deployment group create -g "$group" --name segwatch-live --template-file config/sentinel/azuredeploy.json \
    --parameters "workspaceName=$workspace" "principalId=$principal" --query properties.outputs >"$work/outputs.json"
endpoint=$(jq -r .endpoint.value "$work/outputs.json")
dcr=$(jq -r .dcr.value "$work/outputs.json")

cat >"$work/segwatch.yaml" <<END
state: {dir: $work/state}
alerts: {file: $work/alerts.jsonl}
outputs:
  - {name: sentinel, kind: sentinel, endpoint: "$endpoint", dcr: "$dcr", min_severity: low,
     auth: {tenant: "$TENANT", client_id: "$CLIENT_ID", client_secret: {file: "$SECRET_FILE"}}}
END
mkdir -p "$work/state"
"$program" check -c "$work/segwatch.yaml"
"$program" test-alert -c "$work/segwatch.yaml" --to sentinel
echo "delivered; waiting up to 30 minutes for the row to show in SegwatchFinding_CL"
id=$(az monitor log-analytics workspace show -g "$group" -n "$workspace" --query customerId -o tsv)
for _ in $(seq 60); do
    n=$(az monitor log-analytics query -w "$id" --analytics-query 'SegwatchFinding_CL | where TimeGenerated > ago(1h) | count' \
        --query '[0].Count' -o tsv 2>/dev/null || echo 0)
    [ "${n:-0}" = 0 ] || { echo "PASS: $n rows"; exit 0; }
    sleep 30
done
echo "FAIL: no row after 30 minutes; look at the metrics of the data collection rule" >&2
exit 1
