/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/schema_sentinel.h"

#include "config/emit.h"
#include "encode/enc_row.h"

#include <string.h>

/* Built-in role "Monitoring Metrics Publisher". */
#define SCHEMA_ROLE "3913510d-42f4-4e42-8a64-420c390055eb"

void sw_schema_sentinel_columns(struct sw_buf *out)
{
        struct sw_buf json = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&json);
        uint32_t n, i;
        const struct sw_row_column *c = sw_row_columns(&n);

        sw_jsonw_array(&w);
        for (i = 0; i < n; i++) {
                sw_jsonw_object(&w);
                sw_jsonw_ktext(&w, "name", c[i].name);
                sw_jsonw_ktext(&w, "type", sw_row_type_text(c[i].type));
                if (c[i].max)
                        sw_jsonw_ku64(&w, "max", c[i].max);
                sw_jsonw_ktext(&w, "from", c[i].from);
                sw_jsonw_ktext(&w, "description", c[i].doc);
                sw_jsonw_end_object(&w);
        }
        sw_jsonw_end_array(&w);
        sw_emit_pretty(out, (struct sw_str){ json.p, json.n });
        out->failed = out->failed || json.failed;
        sw_buf_deinit(&json);
}

void sw_schema_sentinel_markdown(struct sw_buf *out)
{
        uint32_t n, i;
        const struct sw_row_column *c = sw_row_columns(&n);

        sw_buf_puts(out, "| column | type | from the OCSF object | meaning |\n|---|---|---|---|\n");
        for (i = 0; i < n; i++)
                sw_buf_printf(out, "| `%s` | %s | %s%s%s | %s |\n", c[i].name, sw_row_type_text(c[i].type),
                        strchr(c[i].from, ' ') ? "" : "`", c[i].from, strchr(c[i].from, ' ') ? "" : "`", c[i].doc);
}

static void schema_members(struct sw_jsonw *w, bool table)
{
        uint32_t n, i;
        const struct sw_row_column *c = sw_row_columns(&n);

        sw_jsonw_key(w, "columns");
        sw_jsonw_array(w);
        for (i = 0; i < n; i++) {
                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "name", c[i].name);
                /* the two services spell this one differently */
                sw_jsonw_ktext(
                        w, "type", table && c[i].type == SW_ROW_DATETIME ? "dateTime" : sw_row_type_text(c[i].type));
                if (table)
                        sw_jsonw_ktext(w, "description", c[i].doc);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

static void schema_parameter(struct sw_jsonw *w, const char *name, const char *type, const char *def, const char *doc)
{
        sw_jsonw_key(w, name);
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "type", type);
        if (def && strcmp(type, "int") == 0) {
                sw_jsonw_key(w, "defaultValue");
                sw_jsonw_raw(w, sw_str_of(def));
        } else if (def) {
                sw_jsonw_ktext(w, "defaultValue", def);
        }
        sw_jsonw_key(w, "metadata");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "description", doc);
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
}

static void schema_resource(struct sw_jsonw *w, const char *type, const char *version, const char *name)
{
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "type", type);
        sw_jsonw_ktext(w, "apiVersion", version);
        sw_jsonw_ktext(w, "name", name);
}

static void schema_depends(struct sw_jsonw *w, const char *on)
{
        sw_jsonw_key(w, "dependsOn");
        sw_jsonw_array(w);
        sw_jsonw_text(w, on);
        sw_jsonw_end_array(w);
}

static void schema_table(struct sw_jsonw *w)
{
        schema_resource(w, "Microsoft.OperationalInsights/workspaces/tables", "2022-10-01",
                "[concat(parameters('workspaceName'), '/" SW_ROW_TABLE "')]");
        sw_jsonw_key(w, "properties");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "plan", "Analytics");
        sw_jsonw_ktext(w, "retentionInDays", "[parameters('retentionInDays')]");
        sw_jsonw_key(w, "schema");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "name", SW_ROW_TABLE);
        sw_jsonw_ktext(w, "description", "Findings of segwatch, one row per line of its alert file.");
        schema_members(w, true);
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
}

#define WORKSPACE_ID "resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))"
#define TABLE_ID                                                                                                       \
        "[resourceId('Microsoft.OperationalInsights/workspaces/tables', parameters('workspaceName'), '" SW_ROW_TABLE   \
        "')]"
#define RULE_ID "resourceId('Microsoft.Insights/dataCollectionRules', parameters('ruleName'))"

static void schema_rule(struct sw_jsonw *w)
{
        schema_resource(w, "Microsoft.Insights/dataCollectionRules", "2023-03-11", "[parameters('ruleName')]");
        sw_jsonw_ktext(w, "location", "[parameters('location')]");
        sw_jsonw_ktext(w, "kind", "Direct");
        schema_depends(w, TABLE_ID);
        sw_jsonw_key(w, "properties");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "description", "Takes the findings of segwatch.");
        sw_jsonw_key(w, "streamDeclarations");
        sw_jsonw_object(w);
        sw_jsonw_key(w, SW_ROW_STREAM);
        sw_jsonw_object(w);
        schema_members(w, false);
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
        sw_jsonw_key(w, "destinations");
        sw_jsonw_object(w);
        sw_jsonw_key(w, "logAnalytics");
        sw_jsonw_array(w);
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "workspaceResourceId", "[" WORKSPACE_ID "]");
        sw_jsonw_ktext(w, "name", "workspace");
        sw_jsonw_end_object(w);
        sw_jsonw_end_array(w);
        sw_jsonw_end_object(w);
        sw_jsonw_key(w, "dataFlows");
        sw_jsonw_array(w);
        sw_jsonw_object(w);
        sw_jsonw_key(w, "streams");
        sw_jsonw_array(w);
        sw_jsonw_text(w, SW_ROW_STREAM);
        sw_jsonw_end_array(w);
        sw_jsonw_key(w, "destinations");
        sw_jsonw_array(w);
        sw_jsonw_text(w, "workspace");
        sw_jsonw_end_array(w);
        sw_jsonw_ktext(w, "transformKql", "source");
        sw_jsonw_ktext(w, "outputStream", "Custom-" SW_ROW_TABLE);
        sw_jsonw_end_object(w);
        sw_jsonw_end_array(w);
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
}

static void schema_role(struct sw_jsonw *w)
{
        schema_resource(w, "Microsoft.Authorization/roleAssignments", "2022-04-01",
                "[guid(" RULE_ID ", parameters('principalId'), '" SCHEMA_ROLE "')]");
        sw_jsonw_ktext(w, "condition", "[not(empty(parameters('principalId')))]");
        sw_jsonw_ktext(w, "scope", "[concat('Microsoft.Insights/dataCollectionRules/', parameters('ruleName'))]");
        schema_depends(w, "[" RULE_ID "]");
        sw_jsonw_key(w, "properties");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "roleDefinitionId",
                "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '" SCHEMA_ROLE "')]");
        sw_jsonw_ktext(w, "principalId", "[parameters('principalId')]");
        sw_jsonw_ktext(w, "principalType", "ServicePrincipal");
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
}

static void schema_output(struct sw_jsonw *w, const char *name, const char *value)
{
        sw_jsonw_key(w, name);
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "type", "string");
        sw_jsonw_ktext(w, "value", value);
        sw_jsonw_end_object(w);
}

void sw_schema_sentinel_arm(struct sw_buf *out)
{
        struct sw_buf json = SW_BUF_NULL;
        struct sw_jsonw writer = sw_jsonw_start(&json), *w = &writer;

        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "$schema", "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#");
        sw_jsonw_ktext(w, "contentVersion", "1.0.0.0");
        sw_jsonw_key(w, "parameters");
        sw_jsonw_object(w);
        schema_parameter(w, "workspaceName", "string", NULL, "Log Analytics workspace that Sentinel runs on.");
        schema_parameter(w, "location", "string", "[resourceGroup().location]", "Region of the workspace.");
        schema_parameter(w, "ruleName", "string", "segwatch", "Name of the data collection rule.");
        schema_parameter(w, "principalId", "string", "",
                "Object id of the identity that segwatch runs as; it gets Monitoring Metrics Publisher on the rule.");
        schema_parameter(w, "retentionInDays", "int", "90", "How long the table keeps rows.");
        sw_jsonw_end_object(w);
        sw_jsonw_key(w, "resources");
        sw_jsonw_array(w);
        schema_table(w);
        schema_rule(w);
        schema_role(w);
        sw_jsonw_end_array(w);
        sw_jsonw_key(w, "outputs");
        sw_jsonw_object(w);
        schema_output(w, "endpoint", "[reference(" RULE_ID ", '2023-03-11').endpoints.logsIngestion]");
        schema_output(w, "dcr", "[reference(" RULE_ID ", '2023-03-11').immutableId]");
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
        sw_emit_pretty(out, (struct sw_str){ json.p, json.n });
        out->failed = out->failed || json.failed;
        sw_buf_deinit(&json);
}
