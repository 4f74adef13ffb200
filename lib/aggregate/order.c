/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/order.h"

#include <stdlib.h>

#define SMALL_SORT 48u
#define SPREAD_SORT 8192u
#define SPREAD_CROWD 32u /* tuples of one millisecond that are still inserted one by one */

/* 2 bits that keep memcmp order between IPv4 (mapped) and the rest, then the 32 most telling bits. */
static uint64_t addr_rank(const struct sw_addr *a, uint32_t *ret_bits)
{
        const uint8_t *p = a->b;
        static const struct sw_addr first_v4 = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0 } };

        if (sw_addr_is_v4(a)) {
                *ret_bits = (uint32_t)p[12] << 24 | (uint32_t)p[13] << 16 | (uint32_t)p[14] << 8 | p[15];
                return 1;
        }
        *ret_bits = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        if (sw_addr_cmp(a, &first_v4) < 0) {
                *ret_bits = 0;
                return 0;
        }
        return 2;
}

uint64_t sw_order_prefix(const struct sw_otuple *t)
{
        uint32_t src, dst;
        uint64_t src_rank = addr_rank(&t->key.src, &src), dst_rank, key;

        key = (uint64_t)(t->time.ms % SW_SECOND) << 54 | (uint64_t)t->state << 52 | src_rank << 50 |
              (uint64_t)src << 18;
        /* Only a v4 source is told completely by its bits, so only then may the destination follow. */
        if (src_rank != 1)
                return key;
        dst_rank = addr_rank(&t->key.dst, &dst);
        return key | dst_rank << 16 | dst >> 16;
}

#define COMPARE(x, y)                                                                                                  \
        do {                                                                                                           \
                if ((x) != (y))                                                                                        \
                        return (x) < (y) ? -1 : 1;                                                                     \
        } while (0)

int sw_order_cmp(const struct sw_directory *d, const struct sw_otuple *a, const struct sw_otuple *b)
{
        int c, i;

        COMPARE(a->time.ms, b->time.ms);
        COMPARE(a->state, b->state);
        if ((c = sw_addr_cmp(&a->key.src, &b->key.src)) != 0 || (c = sw_addr_cmp(&a->key.dst, &b->key.dst)) != 0)
                return c;
        COMPARE(a->key.sport, b->key.sport);
        COMPARE(a->key.dport, b->key.dport);
        COMPARE(a->key.proto, b->key.proto);
        COMPARE(a->direction, b->direction);
        COMPARE(a->encryption, b->encryption);
        for (i = 0; i < SW_N_COUNTERS; i++)
                COMPARE(a->counters[i], b->counters[i]);
        COMPARE(a->counters_present, b->counters_present);
        COMPARE(a->stateless, b->stateless);
        c = sw_directory_sensor_cmp(d, a->sensor, b->sensor);
        return c ? c : sw_directory_rule_cmp(d, a->rule, b->rule);
}
#undef COMPARE

static int order_item_cmp(const void *x, const void *y, void *ctx)
{
        const struct sw_order_item *a = x, *b = y;

        return sw_order_cmp(ctx, a->tuple, b->tuple);
}

static void sort_full(const struct sw_directory *d, struct sw_order_item *items, uint32_t n)
{
        uint32_t i, j;

        if (n > SMALL_SORT) {
                union {
                        const struct sw_directory *c;
                        void *p;
                } ctx = { d };

                qsort_r(items, n, sizeof(*items), order_item_cmp, ctx.p);
                return;
        }
        for (i = 1; i < n; i++) {
                struct sw_order_item x = items[i];

                for (j = i; j > 0 && sw_order_cmp(d, items[j - 1].tuple, x.tuple) > 0; j--)
                        items[j] = items[j - 1];
                items[j] = x;
        }
}

static void sort_insertion(struct sw_order_item *items, uint32_t n)
{
        uint32_t i, j;

        for (i = 1; i < n; i++) {
                struct sw_order_item x = items[i];

                for (j = i; j > 0 && items[j - 1].prefix > x.prefix; j--)
                        items[j] = items[j - 1];
                items[j] = x;
        }
}

/* Into order by millisecond in one pass, which leaves next to nothing to insert. False: nothing was done, one
 * millisecond is crowded (some logs know seconds only). */
static bool sort_spread(struct sw_order_item *items, uint32_t n, struct sw_order_item *scratch)
{
        uint16_t start[1024] = { 0 };
        uint32_t i, j, sum = 0;

        for (i = 0; i < n; i++)
                start[items[i].prefix >> 54]++;
        for (i = 0; i < SW_SECOND; i++) {
                uint32_t count = start[i];

                if (count > SPREAD_CROWD)
                        return false;
                start[i] = (uint16_t)sum;
                sum += count;
        }
        for (i = 0; i < n; i++)
                scratch[start[items[i].prefix >> 54]++] = items[i];
        for (i = 0; i < n; i++) {
                struct sw_order_item x = scratch[i];

                for (j = i; j > 0 && items[j - 1].prefix > x.prefix; j--)
                        items[j] = items[j - 1];
                items[j] = x;
        }
        return true;
}

/* LSD radix sort by bytes; a byte that is the same everywhere (most of them, in one network) costs no pass. */
static void sort_radix(struct sw_order_item *items, uint32_t n, struct sw_order_item *scratch)
{
        struct sw_order_item *from = items, *to = scratch, *swap;
        uint32_t count[256], i;
        uint64_t differ = 0;
        unsigned shift;

        for (i = 1; i < n; i++)
                differ |= items[i].prefix ^ items[0].prefix;
        for (shift = 0; shift < 64; shift += 8) {
                uint32_t sum = 0, k;

                if (!(differ >> shift & 0xff))
                        continue;
                memset(count, 0, sizeof(count));
                for (i = 0; i < n; i++)
                        count[from[i].prefix >> shift & 0xff]++;
                for (k = 0; k < 256; k++) {
                        uint32_t c = count[k];

                        count[k] = sum;
                        sum += c;
                }
                for (i = 0; i < n; i++)
                        to[count[from[i].prefix >> shift & 0xff]++] = from[i];
                swap = from;
                from = to;
                to = swap;
        }
        if (from != items)
                memcpy(items, from, n * sizeof(*items));
}

void sw_order_sort(const struct sw_directory *d, struct sw_order_item *items, uint32_t n, struct sw_order_item *scratch)
{
        uint32_t i, j;

        if (n <= SMALL_SORT)
                sort_insertion(items, n);
        else if (n > SPREAD_SORT || !sort_spread(items, n, scratch))
                sort_radix(items, n, scratch);
        for (i = 0; i < n; i = j) {
                for (j = i + 1; j < n && items[j].prefix == items[i].prefix; j++)
                        ;
                if (j - i > 1)
                        sort_full(d, items + i, j - i);
        }
}

void sw_order_sort_any(const struct sw_directory *d, struct sw_order_item *items, uint32_t n)
{
        sort_full(d, items, n);
}
