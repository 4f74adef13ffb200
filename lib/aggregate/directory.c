/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/directory.h"

#include <assert.h>

#define MAX_TEXT_BYTES 4096u /* of one id; longer ones are cut: ARM ids stay below 1 KiB */

struct fold {
        uint64_t key[2];
};

struct text {
        uint64_t key[2];
        uint32_t ref, n;
};

static const struct sw_table_spec sensor_spec = {
        .name = "sensors", .version = 1, .entry_size = sizeof(struct sw_directory_sensor), .key_size = 16
};
static const struct sw_table_spec fold_spec = {
        .name = "sensor_folds", .version = 1, .entry_size = sizeof(struct fold), .key_size = 16
};
static const struct sw_table_spec rule_spec = {
        .name = "rules", .version = 1, .entry_size = sizeof(struct sw_directory_rule), .key_size = 16
};

static const struct sw_table_spec text_spec = {
        .name = "texts", .version = 1, .entry_size = sizeof(struct text), .key_size = 16
};

int sw_directory_init(struct sw_directory *d, size_t limit_bytes, const struct sw_hash_key *key)
{
        static const struct sw_record no_sensor;
        static const struct sw_rule no_rule;
        int r;

        *d = (struct sw_directory){ .keys = { *key, { ~key->k0, key->k1 } }, .text_limit_bytes = limit_bytes / 4 };
        r = sw_table_init(&d->sensors, &sensor_spec, limit_bytes / 4, key, NULL);
        if (r == 0)
                r = sw_table_init(&d->folds, &fold_spec, limit_bytes / 8, key, NULL);
        if (r == 0)
                r = sw_table_init(&d->rules, &rule_spec, limit_bytes / 8, key, NULL);
        if (r == 0)
                r = sw_table_init(&d->text_ids, &text_spec, limit_bytes / 8, key, NULL);
        if (r < 0)
                return r;
        sw_texts_init(&d->texts, "directory_texts", d->text_limit_bytes + 2 * MAX_TEXT_BYTES);
        /* Room for the longest key from the start: the digest of a cut one would be another's. */
        sw_buf_printf(&d->scratch, "%*s", (int)(2 * MAX_TEXT_BYTES + 64), "");
        if (d->scratch.failed) {
                sw_directory_deinit(d);
                return -SW_ERR_NOMEM;
        }
        (void)sw_directory_sensor(d, &no_sensor, NULL);
        (void)sw_directory_rule(d, &no_rule);
        if (d->full || d->scratch.failed) {
                sw_directory_deinit(d);
                return -SW_ERR_NOMEM;
        }
        return 0;
}

void sw_directory_deinit(struct sw_directory *d)
{
        sw_table_deinit(&d->sensors);
        sw_table_deinit(&d->folds);
        sw_table_deinit(&d->rules);
        sw_table_deinit(&d->text_ids);
        sw_texts_deinit(&d->texts);
        sw_buf_deinit(&d->scratch);
}

static struct sw_str cut(struct sw_str s)
{
        return s.n > MAX_TEXT_BYTES ? (struct sw_str){ s.p, MAX_TEXT_BYTES } : s;
}

static void directory_put(struct sw_buf *b, struct sw_str s, bool fold)
{
        uint32_t n = (uint32_t)s.n;
        size_t i;

        sw_buf_put(b, &n, sizeof(n));
        if (!fold) {
                sw_buf_put(b, s.p, s.n);
                return;
        }
        for (i = 0; i < s.n; i++)
                sw_buf_putc(b, s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i]);
}

/* 128 keyed bits stand for the text: a sender cannot aim at a collision. */
static void digest(const struct sw_directory *d, uint64_t ret[2])
{
        ret[0] = sw_siphash(&d->keys[0], d->scratch.p, d->scratch.n);
        ret[1] = sw_siphash(&d->keys[1], d->scratch.p, d->scratch.n);
}

/* Finds or inserts without ever evicting; NULL: full. */
static void *directory_entry(
        struct sw_directory *d, struct sw_table *t, const uint64_t key[2], bool *ret_created, uint32_t *ret_id)
{
        void *e;

        *ret_created = false;
        if (d->scratch.failed || d->full || d->texts.used_bytes >= d->text_limit_bytes) {
                e = sw_table_find_id(t, key, ret_id);
                d->n_refused += !e;
                return e;
        }
        e = sw_table_insert_id(t, key, ret_created, ret_id);
        if (!e) {
                d->full = true;
                d->n_refused++;
                return NULL;
        }
        if (*ret_created)
                sw_table_pin(t, *ret_id, true);
        return e;
}

/* The text for good, shared by all that have it. */
static uint32_t keep(struct sw_directory *d, struct sw_str s, uint32_t *ret_n)
{
        uint64_t key[2];
        struct text *t;
        uint32_t id;
        bool created;

        *ret_n = 0;
        if (s.n == 0)
                return 0;
        key[0] = sw_siphash(&d->keys[0], s.p, s.n);
        key[1] = sw_siphash(&d->keys[1], s.p, s.n);
        t = directory_entry(d, &d->text_ids, key, &created, &id);
        if (!t)
                return 0;
        if (created && sw_texts_add(&d->texts, s, &t->ref))
                t->n = (uint32_t)s.n;
        d->full = d->full || !t->n;
        *ret_n = t->n;
        return t->ref;
}

static uint32_t sensor_intern(struct sw_directory *d, const struct sw_record *r, const struct sw_segments *segments)
{
        struct sw_str flow_log = cut(r->flow_log), target = cut(r->target), vnet, subnet;
        struct sw_directory_sensor *s;
        uint64_t key[2];
        uint32_t id, fold;
        bool created;

        sw_buf_reset(&d->scratch);
        directory_put(&d->scratch, flow_log, false);
        directory_put(&d->scratch, target, false);
        sw_buf_put(&d->scratch, &r->mac, sizeof(r->mac));
        sw_buf_putc(&d->scratch, (char)r->kind);
        digest(d, key);
        s = directory_entry(d, &d->sensors, key, &created, &id);
        if (!s)
                return 0;
        if (!created)
                return id;
        sw_buf_reset(&d->scratch);
        directory_put(&d->scratch, flow_log, true);
        sw_buf_put(&d->scratch, &r->mac, sizeof(r->mac));
        digest(d, key);
        if (!directory_entry(d, &d->folds, key, &created, &fold))
                fold = 0;
        s->flow_log = keep(d, flow_log, &s->n_flow_log);
        s->target = keep(d, target, &s->n_target);
        s->mac = r->mac;
        s->kind = (uint8_t)r->kind;
        s->fold = fold;
        s->realm = segments ? sw_segments_realm(segments, flow_log) : 0;
        s->has_subnet = sw_directory_subnet(target, &vnet, &subnet);
        return id;
}

static uint32_t rule_intern(struct sw_directory *d, const struct sw_rule *r)
{
        struct sw_str acl = cut(r->acl), name = cut(r->name);
        struct sw_directory_rule *e;
        uint64_t key[2];
        uint32_t id;
        bool created;

        sw_buf_reset(&d->scratch);
        directory_put(&d->scratch, acl, false);
        directory_put(&d->scratch, name, false);
        digest(d, key);
        e = directory_entry(d, &d->rules, key, &created, &id);
        if (!e)
                return 0;
        if (created) {
                e->acl = keep(d, acl, &e->n_acl);
                e->name = keep(d, name, &e->n_name);
        }
        return id;
}

static bool same_text(const struct sw_directory *d, uint32_t ref, uint32_t n, struct sw_str s)
{
        return n == s.n && (n == 0 || memcmp(sw_texts_at(&d->texts, ref), s.p, n) == 0);
}

static uint32_t recent_slot(uint64_t x, uint32_t n)
{
        x = (x ^ x >> 32) * UINT64_C(0x9e3779b97f4a7c15); /* lengths stand in the top byte */
        return (uint32_t)(x >> 40) & (n - 1);
}

/* Ends of texts differ more often than their beginnings. */
static uint64_t text_tail(struct sw_str s)
{
        uint64_t v = 0;
        size_t n = s.n < sizeof(v) ? s.n : sizeof(v);

        if (n)
                memcpy(&v, s.p + s.n - n, n);
        return v ^ (uint64_t)s.n << 56;
}

uint32_t sw_directory_sensor(struct sw_directory *d, const struct sw_record *r, const struct sw_segments *segments)
{
        uint32_t *recent = &d->recent_sensors[recent_slot(
                r->mac ^ text_tail(r->flow_log) << 8 ^ r->kind, SW_DIRECTORY_RECENT_SENSORS)];
        const struct sw_directory_sensor *s = sw_directory_sensor_at(d, *recent);

        if (s && s->mac == r->mac && s->kind == (uint8_t)r->kind &&
                same_text(d, s->flow_log, s->n_flow_log, r->flow_log) &&
                same_text(d, s->target, s->n_target, r->target))
                return *recent;
        *recent = sensor_intern(d, r, segments);
        return *recent;
}

uint32_t sw_directory_rule(struct sw_directory *d, const struct sw_rule *r)
{
        uint32_t *recent =
                &d->recent_rules[recent_slot(text_tail(r->acl) * 31 ^ text_tail(r->name), SW_DIRECTORY_RECENT_RULES)];
        const struct sw_directory_rule *e = sw_table_peek(&d->rules, *recent);

        if (e && same_text(d, e->acl, e->n_acl, r->acl) && same_text(d, e->name, e->n_name, r->name))
                return *recent;
        *recent = rule_intern(d, r);
        return *recent;
}

void sw_directory_set_segments(struct sw_directory *d, const struct sw_segments *segments)
{
        struct sw_directory_sensor *s;
        uint32_t id;

        for (id = 0; (s = sw_table_next(&d->sensors, &id)); id++)
                s->realm = sw_segments_realm(segments, sw_directory_text(d, s->flow_log, s->n_flow_log));
}

const struct sw_directory_sensor *sw_directory_sensor_at(const struct sw_directory *d, uint32_t id)
{
        const struct sw_directory_sensor *s = sw_table_peek(&d->sensors, id);

        return s ? s : sw_table_peek(&d->sensors, 0);
}

struct sw_rule sw_directory_rule_at(const struct sw_directory *d, uint32_t id)
{
        const struct sw_directory_rule *r = sw_table_peek(&d->rules, id);

        if (!r)
                r = sw_table_peek(&d->rules, 0);
        return (struct sw_rule){ sw_directory_text(d, r->acl, r->n_acl), sw_directory_text(d, r->name, r->n_name) };
}

static int text_cmp(struct sw_str a, struct sw_str b)
{
        int c = sw_str_icmp(a, b);

        /* Equal when folded means equally long. */
        return c ? c : memcmp(a.p, b.p, a.n);
}

int sw_directory_sensor_cmp(const struct sw_directory *d, uint32_t a, uint32_t b)
{
        const struct sw_directory_sensor *x, *y;
        int c;

        if (a == b)
                return 0;
        x = sw_directory_sensor_at(d, a);
        y = sw_directory_sensor_at(d, b);
        c = text_cmp(
                sw_directory_text(d, x->flow_log, x->n_flow_log), sw_directory_text(d, y->flow_log, y->n_flow_log));
        if (c == 0 && x->mac != y->mac)
                c = x->mac < y->mac ? -1 : 1;
        if (c == 0)
                c = text_cmp(
                        sw_directory_text(d, x->target, x->n_target), sw_directory_text(d, y->target, y->n_target));
        return c ? c : (int)x->kind - (int)y->kind;
}

int sw_directory_rule_cmp(const struct sw_directory *d, uint32_t a, uint32_t b)
{
        const struct sw_directory_rule *x, *y;
        int c;

        if (a == b)
                return 0;
        x = sw_table_peek(&d->rules, a);
        y = sw_table_peek(&d->rules, b);
        assert(x && y);
        c = text_cmp(sw_directory_text(d, x->acl, x->n_acl), sw_directory_text(d, y->acl, y->n_acl));
        return c ? c : text_cmp(sw_directory_text(d, x->name, x->n_name), sw_directory_text(d, y->name, y->n_name));
}

size_t sw_directory_bytes(const struct sw_directory *d)
{
        return d->sensors.bytes + d->folds.bytes + d->rules.bytes + d->text_ids.bytes + d->texts.used_bytes;
}

/* The path segment that follows `word` (with its slashes, compare case folded). */
static bool after_word(struct sw_str s, struct sw_str word, struct sw_str *ret)
{
        size_t i, n;

        for (i = 0; i + word.n < s.n; i++) {
                if (!sw_str_ieq((struct sw_str){ s.p + i, word.n }, word))
                        continue;
                i += word.n;
                for (n = 0; i + n < s.n && s.p[i + n] != '/'; n++)
                        ;
                *ret = (struct sw_str){ s.p + i, n };
                return n > 0;
        }
        return false;
}

bool sw_directory_subnet(struct sw_str target, struct sw_str *ret_vnet, struct sw_str *ret_subnet)
{
        return after_word(target, SW_STR("/virtualnetworks/"), ret_vnet) &&
               after_word(target, SW_STR("/subnets/"), ret_subnet);
}

static bool directory_has(const struct sw_directory *d, uint32_t ref, uint32_t n)
{
        return n == 0 || sw_texts_has(&d->texts, ref, n);
}

bool sw_directory_is_whole(const struct sw_directory *d)
{
        const struct sw_directory_sensor *s;
        const struct sw_directory_rule *r;
        const struct text *t;
        uint32_t id;

        for (id = 0; (s = sw_table_next(&d->sensors, &id)); id++)
                if (!directory_has(d, s->flow_log, s->n_flow_log) || !directory_has(d, s->target, s->n_target))
                        return false;
        for (id = 0; (r = sw_table_next(&d->rules, &id)); id++)
                if (!directory_has(d, r->acl, r->n_acl) || !directory_has(d, r->name, r->n_name))
                        return false;
        for (id = 0; (t = sw_table_next(&d->text_ids, &id)); id++)
                if (!directory_has(d, t->ref, t->n))
                        return false;
        return sw_table_peek(&d->sensors, 0) && sw_table_peek(&d->rules, 0);
}
