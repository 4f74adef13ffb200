/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/segs.h"

#include <stdio.h>

static const struct sw_table_spec name_spec = {
        .name = "segments", .version = 1, .entry_size = sizeof(struct sw_segs_name), .key_size = 16
};

/* Serial of a name: the id of its row, which is pinned for good. False: no room. */
static bool segs_intern(struct sw_segs *s, struct sw_str name, uint32_t *ret)
{
        uint64_t key[2] = { sw_siphash(&s->keys[0], name.p, name.n), sw_siphash(&s->keys[1], name.p, name.n) };
        struct sw_segs_name *e = sw_table_find_id(&s->names, key, ret);
        bool created;

        if (e)
                return true;
        if (s->full || s->texts.used_bytes + name.n + 8 > s->text_limit_bytes)
                return false;
        e = sw_table_insert_id(&s->names, key, &created, ret);
        if (!e) {
                s->full = true;
                return false;
        }
        sw_table_pin(&s->names, *ret, true);
        if (!sw_texts_add(&s->texts, name, &e->name)) {
                sw_table_remove_id(&s->names, *ret);
                return false;
        }
        e->n_name = (uint32_t)name.n;
        e->start = SW_ETIME_NONE;
        e->fresh = true;
        return true;
}

int sw_segs_init(struct sw_segs *s, const struct sw_segments *conf, int64_t learning_ms, size_t limit_bytes,
        const struct sw_hash_key *key)
{
        int r;

        /* A third each for names and implicit segments (whose array doubles), a sixth for texts, whose blocks double.
         */
        *s = (struct sw_segs){ .keys = { *key, { ~key->k0, key->k1 } }, .text_limit_bytes = limit_bytes / 6 };
        s->max_implicit = (uint32_t)(limit_bytes / 6 / sizeof(*s->implicit));
        if (s->max_implicit > UINT32_MAX / 2)
                s->max_implicit = UINT32_MAX / 2;
        sw_texts_init(&s->texts, "segment_texts", s->text_limit_bytes + 8);
        r = sw_table_init(&s->names, &name_spec, limit_bytes / 3, key, NULL);
        if (r == 0)
                r = sw_segs_set_conf(s, conf, learning_ms);
        if (r < 0)
                sw_segs_deinit(s);
        return r;
}

void sw_segs_deinit(struct sw_segs *s)
{
        sw_table_deinit(&s->names);
        sw_texts_deinit(&s->texts);
        sw_free(s->implicit);
        sw_free(s->serials);
        sw_free(s->old_serials);
        s->implicit = NULL;
        s->serials = s->old_serials = NULL;
}

int sw_segs_set_conf(struct sw_segs *s, const struct sw_segments *conf, int64_t learning_ms)
{
        uint32_t n = SW_SEGMENT_FIRST + sw_segments_count(conf), *serials, id;
        struct sw_segs_name *e;

        serials = sw_calloc(n, sizeof(*serials));
        if (!serials)
                return -SW_ERR_NOMEM;
        for (id = 0; id < n; id++) {
                const struct sw_segment *g = sw_segments_get(conf, id);

                if (!segs_intern(s, sw_str_of(g ? g->name : "unassigned"), &serials[id])) {
                        sw_free(serials);
                        return -SW_ERR_NOMEM;
                }
        }
        for (id = 0; (e = sw_table_next(&s->names, &id)); id++)
                e->fresh = sw_etime_is_none(e->start);
        sw_free(s->old_serials);
        s->old_serials = s->serials;
        s->n_old_serials = s->n_serials;
        s->serials = serials;
        s->n_serials = n;
        s->conf = conf;
        s->learning_ms = learning_ms;
        return 0;
}

const char *sw_segs_name_text(const struct sw_segs *s, const struct sw_segs_name *n)
{
        return sw_texts_at(&s->texts, n->name);
}

static uint32_t segs_implicit(struct sw_segs *s, struct sw_str name)
{
        struct sw_segs_implicit *p;
        struct sw_segs_name *row;
        uint32_t serial;

        if (!segs_intern(s, name, &serial)) {
                s->n_refused++;
                return SW_SEGMENT_UNASSIGNED;
        }
        row = sw_table_at(&s->names, serial);
        if (row->implicit)
                return SW_SEGMENT_IMPLICIT + row->implicit - 1;
        if (s->n_implicit == s->max_implicit) {
                s->n_refused++;
                return SW_SEGMENT_UNASSIGNED;
        }
        if (s->n_implicit == s->cap_implicit) {
                uint32_t cap = s->cap_implicit ? s->cap_implicit * 2 : 32;

                p = sw_realloc_array(s->implicit, cap, sizeof(*p));
                if (!p) {
                        s->n_refused++;
                        return SW_SEGMENT_UNASSIGNED;
                }
                s->implicit = p;
                s->cap_implicit = cap;
        }
        p = &s->implicit[s->n_implicit];
        *p = (struct sw_segs_implicit){ .serial = serial };
        p->segment = (struct sw_segment){ .criticality = 2 };
        p->segment.name = sw_segs_name_text(s, row);
        row->implicit = ++s->n_implicit;
        return SW_SEGMENT_IMPLICIT + row->implicit - 1;
}

uint32_t sw_segs_resolve(struct sw_segs *s, uint16_t realm, const struct sw_addr *a)
{
        uint32_t id = sw_segments_lookup(s->conf, realm, a);
        char text[SW_PREFIX_TEXT], name[SW_PREFIX_TEXT + 16];
        struct sw_prefix p;

        if (id != SW_SEGMENT_UNASSIGNED || sw_addr_class(a) != SW_ADDR_PRIVATE)
                return id;
        p = sw_prefix_of(a, sw_addr_is_v4(a) ? 96 + 24 : 64);
        (void)sw_prefix_format(&p, text);
        if (!realm)
                return segs_implicit(s, sw_str_of(text));
        (void)snprintf(name, sizeof(name), "realm %u: %s", realm, text);
        return segs_implicit(s, sw_str_of(name));
}

uint32_t sw_segs_subnet(struct sw_segs *s, struct sw_str vnet, struct sw_str subnet)
{
        char name[200];
        int n = snprintf(name, sizeof(name), "%.*s/%.*s", (int)(vnet.n > 80 ? 80 : vnet.n), vnet.p,
                (int)(subnet.n > 80 ? 80 : subnet.n), subnet.p);
        int i;

        /* Azure names compare case folded, and the same subnet comes in several spellings. */
        for (i = 0; i < n; i++)
                if (name[i] >= 'A' && name[i] <= 'Z')
                        name[i] = (char)(name[i] + 32);
        return segs_implicit(s, (struct sw_str){ name, (size_t)n });
}

uint32_t sw_segs_serial(const struct sw_segs *s, uint32_t id)
{
        if (id >= SW_SEGMENT_IMPLICIT && id - SW_SEGMENT_IMPLICIT < s->n_implicit)
                return s->implicit[id - SW_SEGMENT_IMPLICIT].serial;
        return s->serials[id < s->n_serials ? id : SW_SEGMENT_UNASSIGNED];
}

uint32_t sw_segs_old_serial(const struct sw_segs *s, uint32_t id)
{
        if (id >= SW_SEGMENT_IMPLICIT || !s->old_serials)
                return sw_segs_serial(s, id);
        return s->old_serials[id < s->n_old_serials ? id : SW_SEGMENT_UNASSIGNED];
}

const struct sw_segment *sw_segs_get(const struct sw_segs *s, uint32_t id)
{
        static const struct sw_segment unassigned = { .name = "unassigned", .criticality = 2 };
        const struct sw_segment *g;

        if (id >= SW_SEGMENT_IMPLICIT && id - SW_SEGMENT_IMPLICIT < s->n_implicit)
                return &s->implicit[id - SW_SEGMENT_IMPLICIT].segment;
        g = id < s->n_serials ? sw_segments_get(s->conf, id) : NULL;
        return g ? g : &unassigned;
}

static struct sw_segs_name *segs_row(const struct sw_segs *s, uint32_t id)
{
        return sw_table_at(&s->names, sw_segs_serial(s, id));
}

void sw_segs_touch(struct sw_segs *s, uint32_t id, struct sw_etime now)
{
        struct sw_segs_name *e = segs_row(s, id);

        if (sw_etime_is_none(e->start))
                e->start = now;
}

bool sw_segs_learning(const struct sw_segs *s, uint32_t id, struct sw_etime now, struct sw_etime *ret_until)
{
        const struct sw_segs_name *e;
        struct sw_etime until;

        if (s->learning_ms == 0)
                return false;
        e = segs_row(s, id);
        until = sw_etime_add(sw_etime_is_none(e->start) ? now : e->start, s->learning_ms);
        if (now.ms >= until.ms)
                return false;
        if (ret_until)
                *ret_until = until;
        return true;
}

struct sw_etime sw_segs_start(const struct sw_segs *s, uint32_t serial)
{
        const struct sw_segs_name *e = sw_table_at(&s->names, serial);

        return e ? e->start : SW_ETIME_NONE;
}

void sw_segs_inherit(struct sw_segs *s, uint32_t id, struct sw_etime start)
{
        struct sw_segs_name *e = segs_row(s, id);

        if (!e->fresh || sw_etime_is_none(start))
                return;
        if (sw_etime_is_none(e->start) || start.ms < e->start.ms)
                e->start = start;
}

size_t sw_segs_bytes(const struct sw_segs *s)
{
        return s->names.bytes + s->texts.used_bytes + s->cap_implicit * sizeof(*s->implicit) +
               s->n_serials * sizeof(*s->serials);
}

static int segs_place(struct sw_segs *s, const struct sw_segs_name *row, uint32_t serial)
{
        struct sw_segs_implicit *p;

        if (row->implicit > s->n_implicit)
                return -SW_ERR_DATA;
        p = &s->implicit[row->implicit - 1];
        if (p->segment.name)
                return -SW_ERR_DATA;
        *p = (struct sw_segs_implicit){ .serial = serial };
        p->segment = (struct sw_segment){ .criticality = 2 };
        p->segment.name = sw_segs_name_text(s, row);
        return 0;
}

static bool segs_is_same(const struct sw_segs *s, uint32_t id)
{
        const struct sw_segment *g = sw_segments_get(s->conf, id);
        const struct sw_segs_name *row = sw_table_at(&s->names, s->serials[id]);
        struct sw_str name = sw_str_of(g ? g->name : "unassigned");

        return sw_str_eq((struct sw_str){ sw_segs_name_text(s, row), row->n_name }, name);
}

int sw_segs_restored(struct sw_segs *s, bool *ret_same)
{
        const struct sw_segs_name *row;
        uint32_t id, n = 0, cap = 0;
        int r;

        if (s->n_implicit > s->max_implicit)
                return -SW_ERR_LIMIT;
        while (cap < s->n_implicit)
                cap = cap ? cap * 2 : 32;
        s->implicit = cap ? sw_calloc(cap, sizeof(*s->implicit)) : NULL;
        if (cap && !s->implicit)
                return -SW_ERR_NOMEM;
        s->cap_implicit = cap;
        for (id = 0; (row = sw_table_next(&s->names, &id)); id++) {
                if (!sw_texts_has(&s->texts, row->name, row->n_name))
                        return -SW_ERR_DATA;
                r = row->implicit ? segs_place(s, row, id) : 0;
                if (r < 0)
                        return r;
                n += row->implicit != 0;
        }
        if (n != s->n_implicit || s->n_serials < SW_SEGMENT_FIRST)
                return -SW_ERR_DATA;
        *ret_same = s->n_serials == SW_SEGMENT_FIRST + sw_segments_count(s->conf);
        for (id = 0; id < s->n_serials; id++) {
                if (!sw_table_at(&s->names, s->serials[id]))
                        return -SW_ERR_DATA;
                *ret_same = *ret_same && segs_is_same(s, id);
        }
        return 0;
}
