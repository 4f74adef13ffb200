/* SPDX-License-Identifier: Apache-2.0 */
#include "segment/lpm.h"

#include "base/alloc.h"
#include "base/err.h"

#define ROOT_BITS 16u
#define ROOT_SLOTS (1u << ROOT_BITS)
#define NODE_BITS 8u
#define NODE_SLOTS (1u << NODE_BITS)
#define MAX_NODES (UINT32_C(1) << 20) /* 2 GiB: beyond any configuration that fits its own size limit */

static bool lpm_is_v4(const struct sw_prefix *p)
{
        return p->bits >= 96 && sw_addr_is_v4(&p->addr);
}

void sw_lpm_deinit(struct sw_lpm *t)
{
        if (!t)
                return;
        sw_free(t->roots[0]);
        sw_free(t->roots[1]);
        sw_free(t->nodes);
        *t = SW_LPM_NULL;
}

/* May move t->nodes. */
static int lpm_new_node(struct sw_lpm *t, uint32_t *ret)
{
        struct sw_lpm_slot *nodes;

        if (t->n_nodes == MAX_NODES)
                return -SW_ERR_LIMIT;
        if (t->n_nodes == t->cap_nodes) {
                uint32_t cap = t->cap_nodes ? t->cap_nodes * 2 : 16;

                nodes = sw_realloc_array(t->nodes, cap, NODE_SLOTS * sizeof(*nodes));
                if (!nodes)
                        return -SW_ERR_NOMEM;
                t->nodes = nodes;
                t->cap_nodes = cap;
        }
        memset(t->nodes + (size_t)t->n_nodes * NODE_SLOTS, 0, NODE_SLOTS * sizeof(*nodes));
        *ret = t->n_nodes++;
        return 0;
}

/* A prefix that ends inside a node stands in every slot it covers where no longer one stands already. */
static void lpm_fill(struct sw_lpm_slot *slots, uint32_t first, uint32_t n, uint32_t bits, uint32_t value)
{
        uint32_t i;

        for (i = first; i < first + n; i++)
                if (!slots[i].value || slots[i].bits <= bits) {
                        slots[i].value = value;
                        slots[i].bits = bits & 0xff;
                }
}

int sw_lpm_insert(struct sw_lpm *t, const struct sw_prefix *p, uint32_t value)
{
        bool v4 = lpm_is_v4(p);
        unsigned at = v4 ? 12 : 0, left = v4 ? p->bits - 96u : p->bits;
        uint32_t slot = (uint32_t)p->addr.b[at] << 8 | p->addr.b[at + 1], node = 0;
        unsigned stride = ROOT_BITS;
        bool in_root = true;
        int r;

        if (!t->roots[v4]) {
                t->roots[v4] = sw_calloc(ROOT_SLOTS, sizeof(struct sw_lpm_slot));
                if (!t->roots[v4])
                        return -SW_ERR_NOMEM;
        }
        for (at += 2; left > stride; at++) {
                struct sw_lpm_slot *slots = in_root ? t->roots[v4] : t->nodes + (size_t)node * NODE_SLOTS;
                uint32_t next = slots[slot].child;

                if (!next) {
                        r = lpm_new_node(t, &next);
                        if (r < 0)
                                return r;
                        slots = in_root ? t->roots[v4] : t->nodes + (size_t)node * NODE_SLOTS;
                        slots[slot].child = ++next & 0xffffff;
                }
                node = next - 1;
                left -= stride;
                stride = NODE_BITS;
                in_root = false;
                slot = p->addr.b[at];
        }
        lpm_fill(in_root ? t->roots[v4] : t->nodes + (size_t)node * NODE_SLOTS, slot, 1u << (stride - left), p->bits,
                value);
        return 0;
}

uint32_t sw_lpm_lookup(const struct sw_lpm *t, const struct sw_addr *a)
{
        bool v4 = sw_addr_is_v4(a);
        unsigned at = v4 ? 12 : 0;
        const struct sw_lpm_slot *slot;
        uint32_t best;

        if (!t->roots[v4])
                return 0;
        slot = &t->roots[v4][(uint32_t)a->b[at] << 8 | a->b[at + 1]];
        best = slot->value;
        for (at += 2; slot->child; at++) {
                slot = &t->nodes[(size_t)(slot->child - 1) * NODE_SLOTS + a->b[at]];
                if (slot->value)
                        best = slot->value;
        }
        return best;
}
