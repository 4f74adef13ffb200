/* SPDX-License-Identifier: Apache-2.0 */
#include "model/signal.h"

#include <criterion/criterion.h>

static void differs(const struct sw_evidence *a, const struct sw_evidence *b, const char *what)
{
        cr_expect_lt(sw_evidence_cmp(a, b), 0, "%s", what);
        cr_expect_gt(sw_evidence_cmp(b, a), 0, "%s", what);
        cr_expect_eq(sw_evidence_cmp(a, a), 0, "%s", what);
}

/* Each member decides alone, and an earlier one before a later one. */
Test(signal, evidence_is_in_one_order)
{
        struct sw_evidence a, b;
        unsigned i;

#define MEMBER(what)                                                                                                   \
        memset(&a, 0, sizeof(a));                                                                                      \
        b = a;                                                                                                         \
        b.what = 1;                                                                                                    \
        differs(&a, &b, #what);                                                                                        \
        a.counters[SW_N_COUNTERS - 1] = 9; /* the last of all says nothing then */                                     \
        differs(&a, &b, #what)
        MEMBER(time.ms);
        MEMBER(state);
        MEMBER(src.b[15]);
        MEMBER(dst.b[0]);
        MEMBER(sport);
        MEMBER(dport);
        MEMBER(proto);
        MEMBER(direction);
        MEMBER(encryption);
#undef MEMBER
        for (i = 0; i < SW_N_COUNTERS; i++) {
                memset(&a, 0, sizeof(a));
                b = a;
                b.counters[i] = 1;
                differs(&a, &b, "counters");
        }
}

Test(signal, outcomes_have_texts)
{
        cr_assert_str_neq(sw_outcome_text(SW_OUTCOME_OK), "unknown");
        cr_assert_str_eq(sw_outcome_text((enum sw_outcome)77), "unknown");
}

Test(signal, a_list_grows_and_hands_out_zeroes)
{
        struct sw_signals s = { 0 };
        struct sw_signal *x;
        unsigned i;

        for (i = 0; i < 50; i++) {
                x = sw_signals_add(&s);
                cr_assert(x);
                cr_assert_eq(x->n_targets, 0);
                memset(x, 0xff, sizeof(*x));
        }
        cr_assert_eq(s.n, 50);
        sw_signals_deinit(&s);
        cr_assert_null(s.items);
}
