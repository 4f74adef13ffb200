/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_ocsf.h"

#include "model/service.h"

#define OCSF_VERSION "1.8.0"
#define ATTACK_VERSION "17.1"
#define CLASS_UID 2004
#define MAX_RULE_BYTES 512 /* a line must stay far below what a log pipeline takes as one row */

static void ocsf_addr(struct sw_jsonw *w, const char *key, const struct sw_addr *a)
{
        char text[SW_ADDR_TEXT];

        sw_jsonw_ktext(w, key, sw_addr_format(a, text));
}

/* A finding about segwatch itself may have no evidence, hence no times of its own. */
static int64_t ocsf_time(struct sw_etime t, const struct sw_finding *f)
{
        return sw_etime_is_none(t) || t.ms < SW_ETIME_MIN_MS ? f->decided.ms : t.ms;
}

static void ocsf_id_text(struct sw_jsonw *w, const char *id_key, int id, const char *key, const char *text)
{
        sw_jsonw_ki64(w, id_key, id);
        sw_jsonw_ktext(w, key, text);
}

static const char *ocsf_activity(enum sw_activity a)
{
        return a == SW_ACTIVITY_CREATE ? "Create" : a == SW_ACTIVITY_UPDATE ? "Update" : "Close";
}

static const char *ocsf_kind(enum sw_finding_kind k)
{
        return k == SW_FINDING_INCIDENT ? "incident" : k == SW_FINDING_DETECTOR ? "detector" : "health";
}

static void ocsf_metadata(struct sw_jsonw *w, const struct sw_finding *f, const char *version)
{
        sw_jsonw_key(w, "metadata");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "version", OCSF_VERSION);
        sw_jsonw_ktext(w, "uid", f->line_uid);
        sw_jsonw_ku64(w, "sequence", f->sequence);
        sw_jsonw_ki64(w, "logged_time", ocsf_time(f->logged, f));
        sw_jsonw_ktext(w, "log_name", "segwatch");
        sw_jsonw_ktext(w, "log_version", "1");
        sw_jsonw_key(w, "product");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "name", "segwatch");
        sw_jsonw_ktext(w, "vendor_name", "segwatch");
        sw_jsonw_ktext(w, "version", version);
        sw_jsonw_end_object(w);
        sw_jsonw_key(w, "profiles");
        sw_jsonw_array(w);
        sw_jsonw_text(w, "cloud");
        sw_jsonw_text(w, "security_control");
        sw_jsonw_end_array(w);
        sw_jsonw_kbool(w, "is_truncated", f->n_evidence < f->n_evidence_total);
        sw_jsonw_end_object(w);
}

static void ocsf_class(struct sw_jsonw *w, const struct sw_finding *f)
{
        static const char *const types[] = { "Detection Finding: Unknown", "Detection Finding: Create",
                "Detection Finding: Update", "Detection Finding: Close" };

        ocsf_id_text(w, "category_uid", 2, "category_name", "Findings");
        ocsf_id_text(w, "class_uid", CLASS_UID, "class_name", "Detection Finding");
        ocsf_id_text(w, "activity_id", (int)f->activity, "activity_name", ocsf_activity(f->activity));
        ocsf_id_text(w, "type_uid", CLASS_UID * 100 + (int)f->activity, "type_name", types[f->activity & 3]);
}

static void ocsf_severity(struct sw_jsonw *w, const struct sw_finding *f)
{
        bool high = f->confidence_pct >= 67, low = f->confidence_pct < 34;

        ocsf_id_text(w, "severity_id", (int)f->severity, "severity", sw_severity_text(f->severity));
        ocsf_id_text(w, "confidence_id", high ? 3 : low ? 1 : 2, "confidence", high ? "High" : low ? "Low" : "Medium");
        sw_jsonw_ki64(w, "confidence_score", f->confidence_pct);
        sw_jsonw_ki64(w, "risk_score", f->risk);
        if (f->activity == SW_ACTIVITY_CREATE)
                ocsf_id_text(w, "status_id", 1, "status", "New");
        else if (f->activity == SW_ACTIVITY_UPDATE)
                ocsf_id_text(w, "status_id", 2, "status", "In Progress");
        else
                ocsf_id_text(w, "status_id", 4, "status", "Resolved");
        sw_jsonw_kbool(w, "is_alert", f->kind != SW_FINDING_HEALTH && f->severity >= SW_SEVERITY_MEDIUM);
}

static void ocsf_attacks(struct sw_jsonw *w, const struct sw_finding *f)
{
        uint32_t i;

        sw_jsonw_key(w, "attacks");
        sw_jsonw_array(w);
        for (i = 0; i < f->n_techniques; i++) {
                const struct sw_finding_technique *t = &f->techniques[i];

                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "version", ATTACK_VERSION);
                sw_jsonw_key(w, "tactic");
                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "uid", t->tactic_uid);
                sw_jsonw_ktext(w, "name", t->tactic_name);
                sw_jsonw_end_object(w);
                /* "T1021.004" is a sub-technique of T1021, and OCSF has a place for it. */
                sw_jsonw_key(w, strchr(t->uid, '.') ? "sub_technique" : "technique");
                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "uid", t->uid);
                sw_jsonw_ktext(w, "name", t->name);
                sw_jsonw_end_object(w);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

static void ocsf_finding_info(struct sw_jsonw *w, const struct sw_finding *f)
{
        sw_jsonw_key(w, "finding_info");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "uid", f->uid);
        sw_jsonw_kstr(w, "title", f->title);
        sw_jsonw_kstr(w, "desc", f->story);
        sw_jsonw_key(w, "types");
        sw_jsonw_array(w);
        sw_jsonw_text(w, f->kind == SW_FINDING_HEALTH ? "visibility" : "lateral-movement");
        sw_jsonw_end_array(w);
        sw_jsonw_ki64(w, "created_time", ocsf_time(f->created, f));
        sw_jsonw_ki64(w, "modified_time", f->decided.ms);
        sw_jsonw_ki64(w, "first_seen_time", ocsf_time(f->first, f));
        sw_jsonw_ki64(w, "last_seen_time", ocsf_time(f->last, f));
        sw_jsonw_ku64(w, "related_events_count", f->n_signals);
        sw_jsonw_key(w, "analytic");
        sw_jsonw_object(w);
        sw_jsonw_kstr(w, "uid", f->detector_code);
        sw_jsonw_kstr(w, "name", f->detector);
        if (f->kind == SW_FINDING_INCIDENT)
                ocsf_id_text(w, "type_id", 2, "type", "Behavioral");
        else
                ocsf_id_text(w, "type_id", 1, "type", "Rule");
        sw_jsonw_end_object(w);
        ocsf_attacks(w, f);
        sw_jsonw_key(w, "data_sources");
        sw_jsonw_array(w);
        sw_jsonw_text(w, f->kind == SW_FINDING_HEALTH ? "segwatch" : "azure.flow_log");
        sw_jsonw_end_array(w);
        sw_jsonw_end_object(w);
}

static void ocsf_connection(struct sw_jsonw *w, const struct sw_evidence *e)
{
        bool src_public = sw_addr_class(&e->src) == SW_ADDR_PUBLIC,
             dst_public = sw_addr_class(&e->dst) == SW_ADDR_PUBLIC;
        char proto[8];

        sw_jsonw_key(w, "connection_info");
        sw_jsonw_object(w);
        if (src_public)
                ocsf_id_text(w, "direction_id", 1, "direction", "Inbound");
        else if (dst_public)
                ocsf_id_text(w, "direction_id", 2, "direction", "Outbound");
        else
                ocsf_id_text(w, "direction_id", 3, "direction", "Lateral");
        if (src_public || dst_public)
                ocsf_id_text(w, "boundary_id", 3, "boundary", "External");
        else
                ocsf_id_text(w, "boundary_id", 2, "boundary", "Internal");
        sw_jsonw_ki64(w, "protocol_num", e->proto);
        sw_jsonw_ktext(w, "protocol_name", sw_proto_text(e->proto, proto));
        if (sw_addr_is_v4(&e->src))
                ocsf_id_text(w, "protocol_ver_id", 4, "protocol_ver", "Internet Protocol version 4 (IPv4)");
        else
                ocsf_id_text(w, "protocol_ver_id", 6, "protocol_ver", "Internet Protocol version 6 (IPv6)");
        sw_jsonw_end_object(w);
}

static void ocsf_evidence(struct sw_jsonw *w, const struct sw_finding_evidence *fe)
{
        static const char *const states[] = { "B", "C", "E", "D" };
        const struct sw_evidence *e = &fe->tuple;
        enum sw_service service = sw_service_of(e->proto, e->dport);
        char mac[SW_MAC_TEXT];

        sw_jsonw_object(w);
        sw_jsonw_key(w, "src_endpoint");
        sw_jsonw_object(w);
        ocsf_addr(w, "ip", &e->src);
        sw_jsonw_ki64(w, "port", e->sport);
        sw_jsonw_kstr(w, "zone", fe->src_segment);
        sw_jsonw_end_object(w);
        sw_jsonw_key(w, "dst_endpoint");
        sw_jsonw_object(w);
        ocsf_addr(w, "ip", &e->dst);
        sw_jsonw_ki64(w, "port", e->dport);
        if (service != SW_SERVICE_OTHER)
                sw_jsonw_ktext(w, "svc_name", sw_service_text(service));
        sw_jsonw_kstr(w, "zone", fe->dst_segment);
        sw_jsonw_end_object(w);
        ocsf_connection(w, e);
        sw_jsonw_key(w, "data");
        sw_jsonw_object(w);
        sw_jsonw_ki64(w, "time", e->time.ms);
        sw_jsonw_ktext(w, "detector", fe->detector);
        sw_jsonw_kstr(w, "rule", sw_utf8_cut(fe->rule, MAX_RULE_BYTES));
        sw_jsonw_kstr(w, "acl_id", sw_utf8_cut(fe->acl, MAX_RULE_BYTES));
        sw_jsonw_ktext(w, "state", states[e->state & 3]);
        sw_jsonw_ktext(w, "logged", e->direction == SW_OUTBOUND ? "outbound" : "inbound");
        sw_jsonw_ktext(w, "encryption", sw_encryption_text((enum sw_encryption)e->encryption));
        sw_jsonw_ktext(w, "outcome", sw_outcome_text((enum sw_outcome)e->outcome));
        sw_jsonw_kbool(w, "reversed", e->reversed != 0);
        sw_jsonw_ku64(w, "packets_out", e->counters[SW_PACKETS_FWD]);
        sw_jsonw_ku64(w, "bytes_out", e->counters[SW_BYTES_FWD]);
        sw_jsonw_ku64(w, "packets_in", e->counters[SW_PACKETS_REV]);
        sw_jsonw_ku64(w, "bytes_in", e->counters[SW_BYTES_REV]);
        sw_jsonw_ktext(w, "sensor", fe->mac ? sw_mac_format(fe->mac, mac) : "");
        sw_jsonw_kstr(w, "flow_log", sw_utf8_cut(fe->flow_log, MAX_RULE_BYTES));
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
}

static void ocsf_resources(struct sw_jsonw *w, const struct sw_finding *f)
{
        uint32_t i, k;

        sw_jsonw_key(w, "resources");
        sw_jsonw_array(w);
        for (i = 0; i < f->n_evidence; i++) {
                struct sw_str target = f->evidence[i].target;

                for (k = 0; k < i && !sw_str_ieq(f->evidence[k].target, target);)
                        k++;
                if (target.n == 0 || k < i)
                        continue;
                sw_jsonw_object(w);
                sw_jsonw_kstr(w, "uid", sw_utf8_cut(target, MAX_RULE_BYTES));
                sw_jsonw_ktext(w, "cloud_partition", "AzureCloud");
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

/* "/subscriptions/<id>/..." of the first sensor that says so. */
static struct sw_str ocsf_subscription(const struct sw_finding *f)
{
        const struct sw_str prefix = SW_STR("/subscriptions/");
        uint32_t i;

        for (i = 0; i < f->n_evidence; i++) {
                const struct sw_str id = f->evidence[i].flow_log;
                struct sw_str rest;

                if (id.n <= prefix.n || !sw_str_ieq((struct sw_str){ id.p, prefix.n }, prefix))
                        continue;
                rest = (struct sw_str){ id.p + prefix.n, 0 };
                while (prefix.n + rest.n < id.n && rest.p[rest.n] != '/')
                        rest.n++;
                return sw_utf8_cut(rest, 64);
        }
        return SW_STR_NULL;
}

static void ocsf_cloud(struct sw_jsonw *w, const struct sw_finding *f)
{
        struct sw_str subscription = ocsf_subscription(f);

        sw_jsonw_key(w, "cloud");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "provider", "Azure");
        if (subscription.n > 0) {
                sw_jsonw_key(w, "account");
                sw_jsonw_object(w);
                sw_jsonw_kstr(w, "uid", subscription);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_object(w);
}

static void ocsf_action(struct sw_jsonw *w, const struct sw_finding *f)
{
        uint32_t i, n_denied = 0;

        for (i = 0; i < f->n_evidence; i++)
                n_denied += f->evidence[i].tuple.outcome == SW_OUTCOME_DENIED;
        if (f->kind == SW_FINDING_HEALTH || f->n_evidence == 0)
                ocsf_id_text(w, "action_id", 3, "action", "Observed");
        else if (n_denied == f->n_evidence)
                ocsf_id_text(w, "action_id", 2, "action", "Denied");
        else
                ocsf_id_text(w, "action_id", 1, "action", "Allowed");
        ocsf_id_text(w, "disposition_id", 15, "disposition", "Detected");
}

static void ocsf_observable(struct sw_jsonw *w, const char *name, const struct sw_addr *a)
{
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "name", name);
        ocsf_id_text(w, "type_id", 2, "type", "IP Address");
        ocsf_addr(w, "value", a);
        sw_jsonw_end_object(w);
}

static void ocsf_observables(struct sw_jsonw *w, const struct sw_finding *f)
{
        uint32_t i;

        sw_jsonw_key(w, "observables");
        sw_jsonw_array(w);
        if (f->kind != SW_FINDING_HEALTH)
                ocsf_observable(w, "unmapped.actor", &f->actor);
        for (i = 0; i < f->n_compromised && i < SW_FINDING_HOSTS; i++)
                ocsf_observable(w, "unmapped.compromised", &f->compromised[i]);
        for (i = 0; i < f->n_targets && i < SW_FINDING_HOSTS; i++)
                ocsf_observable(w, "unmapped.targets", &f->targets[i]);
        sw_jsonw_end_array(w);
}

static void ocsf_hosts(struct sw_jsonw *w, const char *key, const struct sw_addr *hosts, uint32_t n)
{
        char text[SW_ADDR_TEXT];
        uint32_t i;

        sw_jsonw_key(w, key);
        sw_jsonw_array(w);
        for (i = 0; i < n && i < SW_FINDING_HOSTS; i++)
                sw_jsonw_text(w, sw_addr_format(&hosts[i], text));
        sw_jsonw_end_array(w);
}

static void ocsf_unmapped(struct sw_jsonw *w, const struct sw_finding *f)
{
        uint32_t i;

        sw_jsonw_key(w, "unmapped");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "kind", ocsf_kind(f->kind));
        if (f->kind == SW_FINDING_HEALTH)
                sw_jsonw_ktext(w, "actor", "");
        else
                ocsf_addr(w, "actor", &f->actor);
        ocsf_hosts(w, "compromised", f->compromised, f->n_compromised);
        sw_jsonw_ku64(w, "compromised_count", f->n_compromised_total);
        ocsf_hosts(w, "targets", f->targets, f->n_targets);
        sw_jsonw_ku64(w, "targets_count", f->n_targets_total);
        sw_jsonw_kstr(w, "segment_src", f->actor_segment);
        sw_jsonw_kstr(w, "segment_dst", f->target_segment);
        sw_jsonw_key(w, "detectors");
        sw_jsonw_array(w);
        for (i = 0; i < f->n_detectors; i++)
                sw_jsonw_text(w, f->detectors[i]);
        sw_jsonw_end_array(w);
        sw_jsonw_key(w, "rules");
        sw_jsonw_array(w);
        for (i = 0; i < f->n_rules; i++)
                sw_jsonw_str(w, sw_utf8_cut(f->rules[i], MAX_RULE_BYTES));
        sw_jsonw_end_array(w);
        sw_jsonw_ku64(w, "evidence_count", f->n_evidence_total);
        if (f->merged_into[0])
                sw_jsonw_ktext(w, "merged_into", f->merged_into);
        if (f->historic)
                sw_jsonw_kbool(w, "historic", true);
        if (f->is_sample)
                sw_jsonw_kbool(w, "is_sample", true);
        sw_jsonw_end_object(w);
}

void sw_enc_ocsf(struct sw_buf *out, const struct sw_finding *f, const char *version)
{
        struct sw_jsonw writer = sw_jsonw_start(out), *w = &writer;
        uint32_t i;

        sw_jsonw_object(w);
        ocsf_metadata(w, f, version);
        ocsf_class(w, f);
        sw_jsonw_ki64(w, "time", ocsf_time(f->created, f));
        sw_jsonw_ki64(w, "start_time", ocsf_time(f->first, f));
        sw_jsonw_ki64(w, "end_time", ocsf_time(f->last, f));
        sw_jsonw_ku64(w, "count", f->n_signals);
        ocsf_severity(w, f);
        sw_jsonw_kstr(w, "message", f->message);
        ocsf_finding_info(w, f);
        sw_jsonw_key(w, "evidences");
        sw_jsonw_array(w);
        for (i = 0; i < f->n_evidence; i++)
                ocsf_evidence(w, &f->evidence[i]);
        sw_jsonw_end_array(w);
        ocsf_resources(w, f);
        ocsf_cloud(w, f);
        ocsf_action(w, f);
        ocsf_observables(w, f);
        ocsf_unmapped(w, f);
        sw_jsonw_end_object(w);
}
