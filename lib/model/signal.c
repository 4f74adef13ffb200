/* SPDX-License-Identifier: Apache-2.0 */
#include "model/signal.h"

const char *sw_outcome_text(enum sw_outcome o)
{
        static const char *const texts[] = {
#define SW_OUTCOME_TEXT(name, text) [SW_OUTCOME_##name] = (text),
                SW_OUTCOME_MAP(SW_OUTCOME_TEXT)
#undef SW_OUTCOME_TEXT
        };

        return (unsigned)o < sizeof(texts) / sizeof(*texts) ? texts[o] : "unknown";
}

#define COMPARE(x, y)                                                                                                  \
        do {                                                                                                           \
                if ((x) != (y))                                                                                        \
                        return (x) < (y) ? -1 : 1;                                                                     \
        } while (0)

int sw_evidence_cmp(const struct sw_evidence *a, const struct sw_evidence *b)
{
        int i, c;

        COMPARE(a->time.ms, b->time.ms);
        COMPARE(a->state, b->state);
        c = sw_addr_cmp(&a->src, &b->src);
        if (c == 0)
                c = sw_addr_cmp(&a->dst, &b->dst);
        if (c != 0)
                return c;
        COMPARE(a->sport, b->sport);
        COMPARE(a->dport, b->dport);
        COMPARE(a->proto, b->proto);
        COMPARE(a->direction, b->direction);
        COMPARE(a->encryption, b->encryption);
        for (i = 0; i < SW_N_COUNTERS; i++)
                COMPARE(a->counters[i], b->counters[i]);
        return 0;
}

struct sw_signal *sw_signals_add(struct sw_signals *s)
{
        if (s->n == s->cap) {
                uint32_t cap = s->cap ? s->cap * 2 : 16;
                struct sw_signal *p = sw_realloc_array(s->items, cap, sizeof(*p));

                if (!p)
                        return NULL;
                s->items = p;
                s->cap = cap;
        }
        return memset(&s->items[s->n++], 0, sizeof(*s->items));
}

void sw_signals_deinit(struct sw_signals *s)
{
        sw_free(s->items);
        *s = (struct sw_signals){ 0 };
}
