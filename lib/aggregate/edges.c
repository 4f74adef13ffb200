/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/edges.h"

#define EDGE_KEY_BYTES 9
#define CLASS_KEY_BYTES 10
#define EDGE_TTL_DAYS 30

enum class_tag { CLASS_OF_SRC = 1, CLASS_OF_DST, CLASS_OF_PAIR };

struct class_row {
        uint32_t a, b;
        uint8_t class, tag;
        uint16_t last_day;
        uint32_t pad;
};

static const struct sw_table_spec edge_spec = {
        .name = "edges", .version = 2, .entry_size = sizeof(struct sw_edge), .key_size = EDGE_KEY_BYTES
};
static const struct sw_table_spec class_spec = {
        .name = "classes", .version = 1, .entry_size = sizeof(struct class_row), .key_size = CLASS_KEY_BYTES
};

int sw_edges_init(struct sw_edges *e, size_t edge_bytes, size_t class_bytes, const struct sw_hash_key *key)
{
        int r;

        *e = (struct sw_edges){ .last = SW_TABLE_NO_ID };
        r = sw_table_init(&e->edges, &edge_spec, edge_bytes, key, NULL);
        return r < 0 ? r : sw_table_init(&e->classes, &class_spec, class_bytes, key, NULL);
}

void sw_edges_deinit(struct sw_edges *e)
{
        sw_table_deinit(&e->edges);
        sw_table_deinit(&e->classes);
}

void sw_edges_hash(const struct sw_edges *e, struct sw_edge_key *k)
{
        struct sw_edge key = { .src = k->src, .dst = k->dst, .class = (uint8_t)k->service };

        k->hash = (uint32_t)sw_table_hash(&e->edges, &key);
}

static bool expired(uint16_t last_day, uint32_t today)
{
        return today > last_day && today - last_day > EDGE_TTL_DAYS;
}

/* The edge found last, if it is that one. */
static struct sw_edge *edges_last(const struct sw_edges *e, const struct sw_edge_key *k)
{
        struct sw_edge *x = sw_table_at(&e->edges, e->last);

        return x && x->src == k->src && x->dst == k->dst && x->class == (uint8_t)k->service ? x : NULL;
}

static struct sw_edge *edges_find(struct sw_edges *e, const struct sw_edge_key *k, struct sw_etime now)
{
        struct sw_edge key = { .src = k->src, .dst = k->dst, .class = (uint8_t)k->service }, *x;

        x = sw_table_find_id_hashed(&e->edges, &key, k->hash, &e->last);
        return x && !expired(x->last_day, sw_etime_day(now)) ? x : NULL;
}

bool sw_edges_get(struct sw_edges *e, const struct sw_edge_key *k, struct sw_etime now, struct sw_edge_info *ret)
{
        const struct sw_edge *x = edges_find(e, k, now);

        if (!x)
                return false;
        *ret = (struct sw_edge_info){
                .first_day = x->first_day,
                .last_day = x->last_day,
                .n_days = (uint32_t)__builtin_popcount(x->days),
                .first_seen = { (int64_t)x->first_sec * SW_SECOND },
                .tainted = x->tainted,
        };
        return true;
}

static struct class_row class_key(const struct sw_edge_key *k, enum class_tag tag)
{
        struct class_row key = { .class = (uint8_t)k->service, .tag = (uint8_t)tag };

        switch (tag) {
        case CLASS_OF_SRC:
                key.a = k->src;
                break;
        case CLASS_OF_DST:
                key.a = k->dst;
                key.b = k->src_segment;
                break;
        case CLASS_OF_PAIR:
                key.a = k->src_segment;
                key.b = k->dst_segment;
                break;
        }
        return key;
}

static bool class_seen(struct sw_edges *e, const struct sw_edge_key *k, enum class_tag tag, uint32_t today)
{
        struct class_row key = class_key(k, tag);
        const struct class_row *row = sw_table_find(&e->classes, &key);

        return row && !expired(row->last_day, today);
}

/* What was seen today cannot expire today. */
static bool classes_are_known(const struct sw_edge *x, const struct sw_edge_key *k, uint32_t today)
{
        return x && x->class_day == today && x->src_segment == k->src_segment && x->dst_segment == k->dst_segment;
}

unsigned sw_edges_rarity(struct sw_edges *e, const struct sw_edge_key *k, struct sw_etime now, bool classes)
{
        struct sw_edge *x = edges_find(e, k, now);
        uint32_t today = sw_etime_day(now);
        unsigned bits = !x || x->tainted ? SW_RARE_NEW_EDGE : 0;

        if (!classes || classes_are_known(x, k, today))
                return bits;
        if (!class_seen(e, k, CLASS_OF_SRC, today))
                bits |= SW_RARE_SRC_CLASS;
        if (!class_seen(e, k, CLASS_OF_DST, today))
                bits |= SW_RARE_DST_CLASS;
        if (!class_seen(e, k, CLASS_OF_PAIR, today))
                bits |= SW_RARE_PAIR_CLASS;
        if (x && !(bits & ~SW_RARE_NEW_EDGE) && k->src_segment <= UINT16_MAX && k->dst_segment <= UINT16_MAX) {
                x->class_day = (uint16_t)today;
                x->src_segment = (uint16_t)k->src_segment;
                x->dst_segment = (uint16_t)k->dst_segment;
        }
        return bits;
}

static void learn_class(struct sw_edges *e, const struct sw_edge_key *k, enum class_tag tag, uint32_t today)
{
        struct class_row key = class_key(k, tag), *row;
        bool created;

        row = sw_table_insert(&e->classes, &key, &created);
        if (row && (created || today > row->last_day))
                row->last_day = (uint16_t)today;
}

void sw_edges_learn(struct sw_edges *e, const struct sw_edge_key *k, struct sw_etime now, bool tainted)
{
        struct sw_edge key = { .src = k->src, .dst = k->dst, .class = (uint8_t)k->service }, *x;
        uint32_t today = sw_etime_day(now);
        bool created = false, known;

        x = edges_last(e, k);
        if (!x)
                x = sw_table_insert_hashed(&e->edges, &key, k->hash, &created);
        if (!x)
                return;
        if (created || expired(x->last_day, today)) {
                x->tainted = tainted;
                x->first_day = x->last_day = (uint16_t)today;
                x->days = 1;
                x->first_sec = (uint32_t)(now.ms / SW_SECOND);
                created = true;
        }
        known = !created && x->last_day == today;
        if (today > x->last_day) {
                uint32_t step = today - x->last_day;

                x->days = (step < 32 ? x->days << step : 0) | 1;
                x->last_day = (uint16_t)today;
        } else if (x->last_day - today < 32) {
                x->days |= UINT32_C(1) << (x->last_day - today);
        }
        if (today < x->first_day)
                x->first_day = (uint16_t)today;
        /* What the edge taught today need not be taught again. */
        if (known || x->tainted || tainted || !sw_service_is_admin(k->service))
                return;
        learn_class(e, k, CLASS_OF_SRC, today);
        learn_class(e, k, CLASS_OF_DST, today);
        learn_class(e, k, CLASS_OF_PAIR, today);
}
