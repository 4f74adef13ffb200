/* SPDX-License-Identifier: Apache-2.0 */
/* `detectors:`: for each detector its mode and the options of its own table. */
#include "conf_lists.h"
#include "config/emit.h"

#include <string.h>

static const struct sw_opt_name mode_names[] = { { "signal", SW_MODE_SIGNAL }, { "alert", SW_MODE_ALERT },
        { "shadow", SW_MODE_SHADOW }, { "off", SW_MODE_OFF }, { NULL, 0 } };

static const struct sw_opt mode_rows[] = {
        { .key = "mode",
                .type = SW_OPT_ENUM,
                .flags = SW_OPT_RELOAD,
                .offset = offsetof(struct sw_detector_conf, mode),
                .def = "signal",
                .names = mode_names,
                .doc = "What its signals do." },
        SW_OPT_END,
};
_Static_assert(sizeof(enum sw_detector_mode) == sizeof(uint32_t), "SW_OPT_ENUM fields are 32 bits");

static const struct {
        const char *name, *code;
} detectors_known[SW_N_DETECTORS] = {
#define SW_DETECTOR_ROW(id, name, code) { #name, code },
        SW_DETECTOR_MAP(SW_DETECTOR_ROW)
#undef SW_DETECTOR_ROW
};

static const struct sw_opt *detectors_rows(unsigned id)
{
        static const struct sw_opt none[] = { SW_OPT_END };
        const struct sw_opt *rows = sw_detectors[id]->options;

        return rows ? rows : none;
}

struct sw_conf_detector sw_conf_detector(unsigned id)
{
        return (struct sw_conf_detector){ detectors_known[id].name, detectors_known[id].code,
                { mode_rows, detectors_rows(id) } };
}

int sw_conf_detectors_default(struct sw_detector_conf *detectors)
{
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                detectors[i].conf = sw_calloc(1, sw_detectors[i]->conf_size ? sw_detectors[i]->conf_size : 1);
                if (!detectors[i].conf || sw_schema_defaults(mode_rows, &detectors[i]) < 0 ||
                        sw_schema_defaults(detectors_rows(i), detectors[i].conf) < 0)
                        return -SW_ERR_NOMEM;
        }
        return 0;
}

void sw_conf_detectors_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_detector_conf *detectors = field;
        const struct sw_conf_node *item;
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT];
        struct sw_err err = SW_ERR_NULL;
        unsigned i;

        if (sw_conf_node_is_null(node) || !sw_schema_is(check, node, SW_NODE_MAP, "detectors"))
                return;
        for (item = node->first; item; item = item->next) {
                struct sw_conf_guess g = sw_conf_guess_start(item->key);
                uint32_t errors = check->n_errors;

                for (i = 0; i < SW_N_DETECTORS; i++) {
                        if (sw_str_eq(item->key, sw_str_of(detectors_known[i].name)) ||
                                sw_str_ieq(item->key, sw_str_of(detectors_known[i].code)))
                                break;
                        sw_conf_guess_add(&g, detectors_known[i].name);
                }
                if (i == SW_N_DETECTORS) {
                        sw_conf_error(check, &item->key_place, "there is no detector '%s'%s",
                                sw_conf_show(item->key, shown), sw_conf_guess_hint(&g, hint));
                        continue;
                }
                sw_schema_read((const struct sw_schema_part[]){ { .rows = mode_rows, .base = &detectors[i] },
                                       { .rows = detectors_rows(i), .base = detectors[i].conf } },
                        2, item, check);
                if (errors == check->n_errors && sw_detectors[i]->check &&
                        sw_detectors[i]->check(detectors[i].conf, &err) < 0)
                        sw_conf_error(check, &item->key_place, "%s: %s", detectors_known[i].name, err.msg);
        }
}

void sw_conf_detectors_emit(struct sw_buf *out, const void *field)
{
        const struct sw_detector_conf *detectors = field;
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                sw_buf_printf(out, "  %s:\n", detectors_known[i].name);
                sw_emit_yaml(out, mode_rows, &detectors[i], 4);
                sw_emit_yaml(out, detectors_rows(i), detectors[i].conf, 4);
        }
}

void sw_conf_detectors_sample(struct sw_buf *out)
{
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                sw_buf_printf(out, "  # %s: %s\n  %s:\n", detectors_known[i].code, sw_detectors[i]->summary,
                        detectors_known[i].name);
                sw_emit_sample(out, mode_rows, 4);
                sw_emit_sample(out, detectors_rows(i), 4);
        }
}

void sw_conf_detectors_free(void *field)
{
        struct sw_detector_conf *detectors = field;
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                if (detectors[i].conf)
                        sw_schema_free(detectors_rows(i), detectors[i].conf);
                sw_free(detectors[i].conf);
                detectors[i].conf = NULL;
        }
}

void sw_conf_detectors_schema(struct sw_jsonw *w)
{
        unsigned i;

        sw_jsonw_key(w, "type");
        sw_jsonw_array(w);
        sw_jsonw_text(w, "object");
        sw_jsonw_text(w, "null");
        sw_jsonw_end_array(w);
        sw_jsonw_key(w, "properties");
        sw_jsonw_object(w);
        for (i = 0; i < SW_N_DETECTORS; i++) {
                const struct sw_opt *tables[] = { mode_rows, detectors_rows(i) };

                sw_jsonw_key(w, detectors_known[i].name);
                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "description", sw_detectors[i]->summary);
                sw_emit_schema(w, tables, 2);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_object(w);
        sw_jsonw_kbool(w, "additionalProperties", false);
}
