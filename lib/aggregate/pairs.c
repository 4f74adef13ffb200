/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/pairs.h"

#include <math.h>

#define PAIR_KEY_BYTES 8
#define SKETCH_KEY_BYTES 12
#define SKETCH_BITS 10
#define SKETCH_REGISTERS (1u << SKETCH_BITS)

struct sketch {
        uint32_t src, dst, side, pad;
        uint8_t registers[SKETCH_REGISTERS];
};

static const struct sw_table_spec pair_spec = {
        .name = "segment_pairs", .version = 1, .entry_size = sizeof(struct sw_pair), .key_size = PAIR_KEY_BYTES
};
static const struct sw_table_spec sketch_spec = {
        .name = "pair_sketches", .version = 1, .entry_size = sizeof(struct sketch), .key_size = SKETCH_KEY_BYTES
};

int sw_pairs_init(struct sw_pairs *p, size_t pair_bytes, size_t sketch_bytes, const struct sw_hash_key *key)
{
        int r;

        *p = (struct sw_pairs){ 0 };
        r = sw_table_init(&p->pairs, &pair_spec, pair_bytes, key, NULL);
        return r < 0 ? r : sw_table_init(&p->sketches, &sketch_spec, sketch_bytes, key, NULL);
}

void sw_pairs_deinit(struct sw_pairs *p)
{
        sw_table_deinit(&p->pairs);
        sw_table_deinit(&p->sketches);
}

struct sw_pair *sw_pairs_get(struct sw_pairs *p, uint32_t src, uint32_t dst, uint32_t *inout_id)
{
        struct sw_pair *x = sw_table_at(&p->pairs, *inout_id);
        uint32_t key[2] = { src, dst };
        bool created;

        if (x && x->src == src && x->dst == dst)
                return x;
        return sw_table_insert_id(&p->pairs, key, &created, inout_id);
}

static void sketch_add(struct sketch *s, uint32_t hash)
{
        uint32_t i = hash >> (32 - SKETCH_BITS), rest = hash << SKETCH_BITS;
        uint8_t rank = (uint8_t)(rest ? __builtin_clz(rest) + 1 : 32 - SKETCH_BITS + 1);

        if (rank > s->registers[i])
                s->registers[i] = rank;
}

static struct sketch *sketch_of(struct sw_pairs *p, struct sw_pair *x, unsigned side)
{
        struct sketch *s = sw_table_at(&p->sketches, x->sketch[side]);
        uint32_t key[4] = { x->src, x->dst, side, 0 };
        bool created;

        if (s && s->src == x->src && s->dst == x->dst && s->side == side)
                return s;
        return sw_table_insert_id(&p->sketches, key, &created, &x->sketch[side]);
}

static void pairs_host(struct sw_pairs *p, struct sw_pair *x, unsigned side, uint32_t hash)
{
        struct sketch *s;
        uint32_t i;

        if (x->n[side] <= SW_PAIRS_EXACT) {
                for (i = 0; i < x->n[side]; i++)
                        if (x->hosts[side][i] == hash)
                                return;
                if (x->n[side] < SW_PAIRS_EXACT) {
                        x->hosts[side][x->n[side]++] = hash;
                        return;
                }
                s = sketch_of(p, x, side);
                if (!s)
                        return;
                for (i = 0; i < SW_PAIRS_EXACT; i++)
                        sketch_add(s, x->hosts[side][i]);
                x->n[side]++;
        }
        s = sketch_of(p, x, side);
        if (s)
                sketch_add(s, hash);
}

void sw_pairs_hosts(struct sw_pairs *p, struct sw_pair *x, const struct sw_host *src, const struct sw_host *dst)
{
        pairs_host(p, x, 0, src->digest);
        pairs_host(p, x, 1, dst->digest);
}

uint32_t sw_pairs_distinct(struct sw_pairs *p, const struct sw_pair *x, unsigned side)
{
        const double m = SKETCH_REGISTERS, alpha = 0.7213 / (1 + 1.079 / m);
        const uint32_t key[4] = { x->src, x->dst, side, 0 };
        const struct sketch *s;
        double sum = 0, estimate;
        unsigned zero = 0, i;

        if (x->n[side] <= SW_PAIRS_EXACT)
                return x->n[side];
        s = sw_table_find(&p->sketches, key);
        if (!s)
                return SW_PAIRS_EXACT;
        for (i = 0; i < SKETCH_REGISTERS; i++) {
                sum += ldexp(1, -s->registers[i]);
                zero += s->registers[i] == 0;
        }
        estimate = alpha * m * m / sum;
        if (estimate <= 2.5 * m && zero)
                estimate = m * log(m / zero);
        return (uint32_t)(estimate + 0.5);
}
