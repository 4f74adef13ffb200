/* SPDX-License-Identifier: Apache-2.0 */
/* The network as a segwatch configuration, and the truth as JSON. */
#include "base/jsonw.h"
#include "scenario/scenario_int.h"

#include <stdio.h>

static const struct {
        const char *role;
        uint8_t criticality;
} export_roles[SCN_N_SEGMENTS] = {
        [SCN_WEB] = { "app", 2 },
        [SCN_APP] = { "app", 3 },
        [SCN_DB] = { "data", 4 },
        [SCN_ERP_APP] = { "app", 3 },
        [SCN_ERP_DB] = { "data", 4 },
        [SCN_FILES] = { "app", 3 },
        [SCN_IDENTITY] = { "identity", 4 },
        [SCN_MGMT] = { "mgmt", 4 },
        [SCN_JUMP] = { "jumpbox", 4 },
        [SCN_PAAS] = { "paas", 2 },
        [SCN_AVD] = { "avd", 1 },
        [SCN_ONPREM] = { "onprem", 2 },
};

/* Least privilege as this network means it; what the NSGs allow beyond it is what an attacker finds. */
static const char export_policy[] = "policy:\n"
                                    "  - {from: internet, to: web, services: [443/tcp, 80/tcp]}\n"
                                    "  - {from: avd, to: web, services: [443/tcp]}\n"
                                    "  - {from: mgmt, to: web}\n"
                                    "  - {from: jump, to: web, services: [22/tcp, 3389/tcp, 5985/tcp]}\n"
                                    "  - {from: web, to: app, services: [8443/tcp]}\n"
                                    "  - {from: mgmt, to: app}\n"
                                    "  - {from: jump, to: app, services: [22/tcp, 3389/tcp, 5985/tcp]}\n"
                                    "  - {from: app, to: db, services: [1433/tcp]}\n"
                                    "  - {from: mgmt, to: db}\n"
                                    "  - {from: jump, to: db, services: [22/tcp, 3389/tcp, 5985/tcp]}\n"
                                    "  - {from: erp-app, to: erp-db, services: [1433/tcp]}\n"
                                    "  - {from: mgmt, to: erp-db}\n"
                                    "  - {from: any, to: mgmt, services: [8530/tcp]}\n"
                                    "  - {from: avd, to: jump, services: [3389/tcp]}\n"
                                    "  - {from: mgmt, to: jump}\n";

static void export_host(
        const struct sw_scenario *s, struct sw_buf *out, const char *role, unsigned segment, uint32_t first, uint32_t n)
{
        uint32_t i;

        sw_buf_printf(out, "  %s: [", role);
        for (i = 0; i < n; i++) {
                const struct scn_end *e = &s->net.ends[sw__scn_host(&s->net, segment, first + i)];

                sw_buf_printf(out, "%s%.*s", i ? ", " : "", e->n_text, e->text);
        }
        sw_buf_puts(out, "]\n");
}

void sw_scenario_config(const struct sw_scenario *s, struct sw_buf *out)
{
        unsigned i;

        sw_buf_puts(out, "segments:\n");
        for (i = 0; i < SCN_N_SEGMENTS; i++) {
                const struct scn_group *g = &s->net.segments[i];

                sw_buf_printf(out, "  - {name: %s, cidrs: [%u.%u.%u.%u/%u", sw__scn_segment_text(i), g->base >> 24,
                        g->base >> 16 & 255, g->base >> 8 & 255, g->base & 255, g->bits);
                if (g->first6)
                        sw_buf_printf(out, ", \"fd00:%x::/64\"", i + 1);
                sw_buf_printf(
                        out, "], role: %s, criticality: %u}\n", export_roles[i].role, export_roles[i].criticality);
        }
        sw_buf_puts(out, export_policy);
        sw_buf_puts(out, "hosts:\n");
        export_host(s, out, "jump", SCN_JUMP, 0, s->net.segments[SCN_JUMP].n);
        export_host(s, out, "dc", SCN_IDENTITY, 0, s->net.segments[SCN_IDENTITY].n);
        export_host(s, out, "resolver", SCN_IDENTITY, 0, s->net.segments[SCN_IDENTITY].n);
        export_host(s, out, "monitor", SCN_MGMT, SCN_MONITOR, 1);
        export_host(s, out, "backup", SCN_MGMT, SCN_BACKUP, 1);
        export_host(s, out, "scanner", SCN_MGMT, SCN_SCANNER, 1);
        export_host(s, out, "patch", SCN_MGMT, SCN_PATCH, 1);
        export_host(s, out, "deploy", SCN_MGMT, SCN_DEPLOY, 1);
        export_host(s, out, "file-server", SCN_FILES, 0, s->net.segments[SCN_FILES].n);
        sw_buf_printf(out, "learning: %um\n", s->stats.learning_minutes);
}

uint32_t sw_scenario_n_steps(const struct sw_scenario *s)
{
        return s->n_steps;
}

struct sw_scenario_step sw_scenario_step(const struct sw_scenario *s, uint32_t i)
{
        const struct scn_step *t = &s->steps[i];

        return (struct sw_scenario_step){ .attack = t->attack,
                .name = t->name,
                .what = t->what,
                .detectors = t->detectors,
                .technique = t->technique,
                .actor = t->actor,
                .hosts = t->hosts,
                .n_hosts = t->n_hosts,
                .n_flows = t->n_flows,
                .first = { t->first },
                .last = { t->last } };
}

static void export_address(struct sw_jsonw *w, const char *key, const struct sw_addr *a)
{
        char text[SW_ADDR_TEXT];

        if (key)
                sw_jsonw_key(w, key);
        sw_jsonw_text(w, sw_addr_format(a, text));
}

static void export_time(struct sw_jsonw *w, const char *key, int64_t ms)
{
        char text[SW_ETIME_TEXT];

        sw_jsonw_ktext(w, key, sw_etime_format((struct sw_etime){ ms }, text));
}

void sw_scenario_truth(const struct sw_scenario *s, struct sw_buf *out)
{
        struct sw_jsonw w = sw_jsonw_start(out);
        uint32_t i, k;

        sw_jsonw_object(&w);
        sw_jsonw_ku64(&w, "seed", s->conf.seed);
        export_time(&w, "start", s->stats.start.ms);
        export_time(&w, "end", s->stats.end.ms);
        sw_jsonw_ku64(&w, "hosts", s->stats.n_hosts);
        sw_jsonw_key(&w, "steps");
        sw_jsonw_array(&w);
        for (i = 0; i < s->n_steps; i++) {
                const struct scn_step *t = &s->steps[i];

                sw_jsonw_object(&w);
                sw_jsonw_ktext(&w, "attack", t->attack);
                sw_jsonw_ktext(&w, "step", t->name);
                sw_jsonw_ktext(&w, "what", t->what);
                sw_jsonw_ktext(&w, "technique", t->technique);
                sw_jsonw_ktext(&w, "detectors", t->detectors);
                export_address(&w, "actor", &t->actor);
                export_time(&w, "first", t->first);
                export_time(&w, "last", t->last);
                sw_jsonw_ku64(&w, "flows", t->n_flows);
                sw_jsonw_key(&w, "hosts");
                sw_jsonw_array(&w);
                for (k = 0; k < t->n_hosts; k++)
                        export_address(&w, NULL, &t->hosts[k]);
                sw_jsonw_end_array(&w);
                sw_jsonw_end_object(&w);
        }
        sw_jsonw_end_array(&w);
        sw_jsonw_end_object(&w);
}
