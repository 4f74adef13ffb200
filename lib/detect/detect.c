/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/detect.h"

#include "base/alloc.h"
#include "base/err.h"
#include "config/schema.h"
#include "detect/track.h"

const struct sw_detector *const sw_detectors[SW_N_DETECTORS] = {
#define DETECT_ROW(id, name, code) [SW_DETECTOR_##id] = &sw_det_##name,
        SW_DETECTOR_MAP(DETECT_ROW)
#undef DETECT_ROW
};

int sw_detector_conf_default(const struct sw_detector *det, void *conf)
{
        memset(conf, 0, det->conf_size);
        return sw_schema_defaults(det->options, conf);
}

static int detect_init_one(struct sw_detect *d, unsigned i, uint64_t memory_limit_bytes, const struct sw_hash_key *key,
        struct sw_err *reterr)
{
        const struct sw_detector *det = sw_detectors[i];
        const struct sw_table_decl *t;
        int r;

        d->defaults[i] = sw_calloc(1, det->conf_size);
        if (!d->defaults[i])
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        r = sw_detector_conf_default(det, d->defaults[i]);
        if (r < 0)
                return sw_err_set(reterr, r, "out of memory");
        for (t = det->tables; t->spec.name; t++) {
                r = sw_table_init(&d->tables[i].t[d->tables[i].n], &t->spec,
                        (size_t)(memory_limit_bytes / 1000 * t->permille), key, &d->tables[i]);
                if (r < 0)
                        return sw_err_set(reterr, r, "memory.limit is too small for table %s", t->spec.name);
                d->tables[i].n++;
        }
        return 0;
}

bool sw_detector_is_asked(const struct sw_detector *det, unsigned kind)
{
        return (!det->admin_only || kind & SW_CONN_IS_ADMIN) && (!det->internet_only || kind & SW_CONN_IS_INTERNET) &&
               (!det->needs_baseline || !(kind & SW_CONN_IS_LEARNING)) &&
               (det->handles_late || !(kind & SW_CONN_IS_LATE));
}

/* Most events concern few detectors: who is asked is known beforehand. */
static void detect_ask(struct sw_detect *d)
{
        unsigned type, kind, i, n = 0;

        for (i = 0; i < SW_N_DETECTORS; i++)
                if (sw_detectors[i]->soon && d->conf[i].mode != SW_MODE_OFF)
                        d->soon[n++] = (uint8_t)i;
        d->soon[n] = SW_N_DETECTORS;
        for (type = 0; type < SW_CONN_EVENT_TYPES; type++)
                for (kind = 0; kind < SW_CONN_KINDS; kind++) {
                        uint8_t *asked = d->asked[type][kind];

                        for (i = 0; i < SW_N_DETECTORS; i++)
                                if (sw_detectors[i]->events >> type & 1 && d->conf[i].mode != SW_MODE_OFF &&
                                        sw_detector_is_asked(sw_detectors[i], kind))
                                        *asked++ = (uint8_t)i;
                        *asked = SW_N_DETECTORS;
                }
}

int sw_detect_init(struct sw_detect *d, const struct sw_detector_conf *conf, uint64_t memory_limit_bytes,
        const struct sw_hash_key *key, struct sw_err *reterr)
{
        unsigned i;
        int r;

        *d = (struct sw_detect){ .conf = conf };
        for (i = 0; i < SW_N_DETECTORS; i++) {
                r = detect_init_one(d, i, memory_limit_bytes, key, reterr);
                if (r < 0) {
                        sw_detect_deinit(d);
                        return r;
                }
        }
        detect_ask(d);
        return 0;
}

void sw_detect_deinit(struct sw_detect *d)
{
        unsigned i, t;

        if (!d)
                return;
        for (i = 0; i < SW_N_DETECTORS; i++) {
                for (t = 0; t < d->tables[i].n; t++)
                        sw_table_deinit(&d->tables[i].t[t]);
                if (d->defaults[i])
                        sw_schema_free(sw_detectors[i]->options, d->defaults[i]);
                sw_free(d->defaults[i]);
        }
        *d = (struct sw_detect){ 0 };
}

void sw_detect_set_conf(struct sw_detect *d, const struct sw_detector_conf *conf)
{
        d->conf = conf;
        detect_ask(d);
}

static const void *detect_conf(const struct sw_detect *d, unsigned i)
{
        return d->conf[i].conf ? d->conf[i].conf : d->defaults[i];
}

int sw_detect_event(
        struct sw_detect *d, const struct sw_view *v, const struct sw_conn_event *ev, struct sw_signals *out)
{
        unsigned kind = sw_conn_kind(ev);
        const uint8_t *i;

        for (i = d->asked[ev->type][kind]; *i != SW_N_DETECTORS; i++) {
                uint32_t before = out->n;
                int r = sw_detectors[*i]->on_event(&d->tables[*i], detect_conf(d, *i), v, ev, out);

                if (r < 0)
                        return r;
                d->n_signals[*i] += out->n - before;
        }
        return 0;
}

void sw_detect_soon(const struct sw_detect *d, const struct sw_conn_soon *ev, struct sw_ahead *ret)
{
        const uint8_t *i;

        for (i = d->soon; *i != SW_N_DETECTORS; i++)
                if (sw_detectors[*i]->events & ev->events)
                        sw_detectors[*i]->soon(&d->tables[*i], ev, ret);
}

void sw_detect_fetch(const struct sw_ahead *a)
{
        uint32_t i;

        for (i = 0; i < a->n; i++)
                sw_table_prefetch_entry(a->looks[i].t, a->looks[i].hash);
}

void sw_detect_fetch_more(const struct sw_ahead *a)
{
        uint32_t i;

        for (i = 0; i < a->n; i++)
                if (a->tracks >> i & 1)
                        sw_track_fetch(a->looks[i].t, a->looks[i].hash);
}

int sw_detect_minute(struct sw_detect *d, const struct sw_view *v, struct sw_etime now, struct sw_signals *out)
{
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                const struct sw_detector *det = sw_detectors[i];
                uint32_t before = out->n;
                int r;

                if (!det->on_minute || d->conf[i].mode == SW_MODE_OFF)
                        continue;
                r = det->on_minute(&d->tables[i], detect_conf(d, i), v, now, out);
                if (r < 0)
                        return r;
                d->n_signals[i] += out->n - before;
        }
        return 0;
}

uint64_t sw_detect_evicted(const struct sw_detect *d)
{
        uint64_t n = 0;
        unsigned i, t;

        for (i = 0; i < SW_N_DETECTORS; i++)
                for (t = 0; t < d->tables[i].n; t++)
                        n += d->tables[i].t[t].n_evicted;
        return n;
}

uint64_t sw_detect_bytes(const struct sw_detect *d)
{
        uint64_t n = 0;
        unsigned i, t;

        for (i = 0; i < SW_N_DETECTORS; i++)
                for (t = 0; t < d->tables[i].n; t++)
                        n += d->tables[i].t[t].bytes;
        return n;
}

int sw_detect_each(struct sw_detect *d, int (*each)(void *ctx, struct sw_table *t), void *ctx)
{
        unsigned i, t;
        int r = 0;

        for (i = 0; i < SW_N_DETECTORS && r == 0; i++)
                for (t = 0; t < d->tables[i].n && r == 0; t++)
                        r = each(ctx, &d->tables[i].t[t]);
        return r;
}

void sw_detect_state(struct sw_detect *d, struct sw_state_io *s)
{
        uint32_t i, k, n = sw_state_count(s, SW_N_DETECTORS, 256, 12);

        for (i = 0; i < n; i++) {
                struct sw_str name = sw_state_reads(s) ? SW_STR_NULL : sw_str_of(sw_detectors[i]->name);
                uint64_t n_signals = sw_state_reads(s) ? 0 : d->n_signals[i];

                sw_state_text(s, &name, 256);
                sw_state_u64(s, &n_signals);
                for (k = 0; sw_state_reads(s) && k < SW_N_DETECTORS; k++)
                        if (sw_str_eq(name, sw_str_of(sw_detectors[k]->name)))
                                d->n_signals[k] = n_signals;
        }
}
