/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/track.h"
#include "fake_view.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define KEEP (25 * SW_HOUR)
#define WAIT (10 * SW_MINUTE)

static struct sw_view *v;
static struct sw_tables own;

static void make(size_t heads, size_t middle, size_t large)
{
        static const struct sw_table_decl decls[] = { SW_TRACK_DECLARE("t", "t_mid", "t_large", 0, 0, 0) };
        static const struct sw_hash_key key = { 1, 2 };
        const size_t limits[] = { heads, middle, large };

        for (own.n = 0; own.n < SW_TRACK_TABLES; own.n++)
                cr_assert_eq(sw_table_init(&own.t[own.n], &decls[own.n].spec, limits[own.n], &key, &own), 0);
}

static void drop(void)
{
        unsigned i;

        for (i = 0; i < own.n; i++)
                sw_table_deinit(&own.t[i]);
        own = (struct sw_tables){ 0 };
}

static void setup(void)
{
        v = fake_view_new();
        make(1 << 20, 1 << 20, 1 << 20);
}

static void teardown(void)
{
        drop();
        v = fake_view_free(v);
}

TestSuite(track, .init = setup, .fini = teardown);

static struct sw_track_what what_of(const struct sw_conn_event *ev)
{
        return (struct sw_track_what){ .key = { ev->src, 7, 0, 0 },
                .item = { .key = ev->dst, .port = ev->first.dport },
                .keep_ms = KEEP,
                .first_ms = WAIT };
}

static struct sw_conn_event event(int64_t ms, unsigned src, unsigned dst)
{
        char from[32], to[32];
        struct sw_conn_event ev;

        (void)snprintf(from, sizeof(from), "10.1.%u.%u", src / 200, src % 200 + 1);
        (void)snprintf(to, sizeof(to), "10.2.%u.%u", dst / 200, dst % 200 + 1);
        ev = fake_event(v, SW_CONN_DENIED, ms, from, to, 445);
        if (ev.time.ms > v->now.ms)
                v->now = ev.time;
        return ev;
}

static bool see(int64_t ms, unsigned src, unsigned dst, struct sw_track_ref *r)
{
        struct sw_conn_event ev = event(ms, src, dst);
        struct sw_track_what what = what_of(&ev);

        return sw_track_add(own.t, &what, v, &ev, r);
}

static uint32_t used(unsigned i)
{
        return own.t[i].n_used;
}

Test(track, a_single_thing_waits_for_another_one)
{
        struct sw_track_ref r;

        cr_assert_not(see(0, 1, 1, &r));
        cr_assert_not(see(10, 1, 1, &r), "the same again");
        cr_assert(see(20, 1, 2, &r));
        cr_assert_eq(r.n, 2);
        cr_assert_eq(sw_track_value(&r, v->now, SW_MINUTE), 2);
        cr_assert_eq(r.head->n_tuples, 2);
}

Test(track, it_waits_until_one_millisecond_before_its_time_is_over)
{
        struct sw_track_ref r;

        cr_assert_not(see(0, 1, 1, &r));
        cr_assert(see(WAIT - 1, 1, 2, &r));
        cr_assert_not(see(0, 2, 1, &r), "late, but it is the first");
        cr_assert_not(see(WAIT - 1 + WAIT, 2, 2, &r), "too late for the first");
        cr_assert(see(WAIT - 1 + WAIT + 1, 2, 3, &r));
        cr_assert_eq(r.n, 2);
}

Test(track, a_late_pair_is_one)
{
        struct sw_track_ref r;

        (void)see(SW_HOUR, 9, 1, &r);
        cr_assert_not(see(0, 1, 1, &r));
        cr_assert(see(1, 1, 2, &r));
        cr_assert_eq(r.n, 2);
}

/* A window of the classic kind that sees the same. */
struct shadow {
        struct sw_window w;
        struct sw_raise_evidence k;
};

static void shadow_see(struct shadow *s, const struct sw_conn_event *ev)
{
        const struct sw_window_item item = { .key = ev->dst, .port = ev->first.dport };

        (void)sw_window_add(&s->w, ev->time, item, sw_window_hash(&ev->dst_host->addr, ev->first.dport), KEEP);
        sw_raise_keep(&s->k, ev);
}

static void check_same(struct sw_track_ref *r, struct shadow *s, struct sw_etime now)
{
        static const int64_t spans[] = { 1, SW_MINUTE, 5 * SW_MINUTE, SW_HOUR, SW_DAY };
        const struct sw_raise_evidence *k;
        unsigned i;

        cr_assert_eq(r->n, s->w.n);
        for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
                cr_assert_eq(sw_track_value(r, now, spans[i]), sw_window_value(&s->w, now, spans[i]), "span %u", i);
        if (!r->large)
                return;
        k = &r->large->evidence;
        cr_assert_eq(k->n, s->k.n);
        for (i = 0; i < k->n; i++) {
                cr_assert_eq(sw_evidence_cmp(&k->e[i], &s->k.e[i]), 0);
                cr_assert_eq(memcmp(&k->e[i], &s->k.e[i], sizeof(k->e[i])), 0);
        }
        cr_assert_eq(memcmp(r->large->window.registers, s->w.registers, sizeof(s->w.registers)), 0);
}

/* Whatever the size: things, counts, estimate and evidence are those of a window that was there from the start. */
Test(track, says_in_every_size_what_a_window_says)
{
        unsigned seed, i, sizes = 0;

        for (seed = 1; seed <= 40; seed++) {
                uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);
                struct shadow s = { 0 };
                struct sw_track_ref r;
                int64_t ms = v->now.ms ? v->now.ms - FAKE_START : 0;

                for (i = 0; i < seed * 3 - 1; i++) {
                        struct sw_conn_event ev;
                        struct sw_track_what what;

                        x = x * 6364136223846793005u + 1442695040888963407u;
                        ms += (int64_t)(x >> 60) * (seed % 4 == 0 ? 17 * SW_MINUTE : 20 * SW_SECOND);
                        ev = event(ms, seed, (unsigned)(x >> 33) % (seed * 2));
                        what = what_of(&ev);
                        what.first_ms = 0;
                        if (x >> 32 & 1)
                                ev.first.counters[SW_BYTES_FWD] = x >> 33 & 0xffff;
                        shadow_see(&s, &ev);
                        cr_assert(sw_track_add(own.t, &what, v, &ev, &r));
                        check_same(&r, &s, v->now);
                }
                sizes |= 1u << r.head->size;
                cr_assert(sw_track_grow_large(own.t, v, &r));
                check_same(&r, &s, v->now);
        }
        cr_assert_eq(sizes, 7, "all sizes were seen");
}

Test(track, grows_at_the_third_and_ninth_thing_and_leaves_nothing_behind)
{
        struct sw_track_ref r;
        unsigned i;

        for (i = 0; i < 2; i++)
                (void)see(i, 1, i, &r);
        cr_assert_eq(r.head->size, SW_TRACK_IS_INSIDE);
        cr_assert(see(2, 1, 2, &r));
        cr_assert_eq(r.head->size, SW_TRACK_IS_MIDDLE);
        for (i = 3; i < 8; i++)
                cr_assert(see(i, 1, i, &r));
        cr_assert_eq(r.head->size, SW_TRACK_IS_MIDDLE);
        cr_assert_eq(r.n, 8);
        cr_assert(see(8, 1, 8, &r));
        cr_assert_eq(r.head->size, SW_TRACK_IS_LARGE);
        cr_assert_eq(r.n, 9);
        cr_assert_eq(used(0), 1);
        cr_assert_eq(used(1), 0);
        cr_assert_eq(used(2), 1);
}

Test(track, what_does_not_fit_a_small_tuple_makes_it_large)
{
        struct sw_conn_event ev = event(0, 1, 1);
        struct sw_track_what what = what_of(&ev);
        struct sw_track_ref r;

        what.first_ms = 0;
        ev.first.counters[SW_BYTES_FWD] = UINT16_MAX;
        cr_assert(sw_track_add(own.t, &what, v, &ev, &r));
        cr_assert_null(r.large);
        ev.first.counters[SW_BYTES_FWD] = UINT16_MAX + 1;
        cr_assert(sw_track_add(own.t, &what, v, &ev, &r));
        cr_assert_not_null(r.large);
        cr_assert_eq(r.large->evidence.n, 2);
        cr_assert_eq(r.large->evidence.e[0].counters[SW_BYTES_FWD], UINT16_MAX);
        cr_assert_eq(r.large->evidence.e[1].counters[SW_BYTES_FWD], UINT16_MAX + 1);
}

Test(track, evidence_of_a_host_that_is_another_by_now_is_left_out)
{
        struct sw_track_ref r;

        (void)see(0, 1, 1, &r);
        cr_assert(see(1, 1, 2, &r));
        v->hosts[r.items[0].key].serial++;
        cr_assert(sw_track_grow_large(own.t, v, &r));
        cr_assert_eq(r.large->evidence.n, 1);
        cr_assert_eq(r.large->evidence.e[0].time.ms, FAKE_START + 1);
}

Test(track, a_thing_is_forgotten_but_a_single_one_is_not)
{
        struct sw_conn_event ev = event(0, 1, 1);
        struct sw_track_what what = what_of(&ev);
        struct sw_track_ref r;
        unsigned i;

        cr_assert_not(sw_track_add(own.t, &what, v, &ev, &r));
        sw_track_forget(own.t, &what, v);
        cr_assert(sw_track_find(own.t, &what, v, &r));
        cr_assert_eq(r.n, 1);
        for (i = 2; i < 20; i++) {
                cr_assert(see(i, 1, i, &r));
                if (i != 2 && i != 6 && i != 15)
                        continue;
                ev = event(i, 1, i);
                what = what_of(&ev);
                sw_track_forget(own.t, &what, v);
                cr_assert(sw_track_find(own.t, &what, v, &r));
                cr_assert_eq(sw_track_count(&r, v->now, SW_MINUTE, 0, 0), i - 1 - (i >= 6) - (i >= 15), "%u", i);
        }
}

Test(track, what_slept_too_long_is_as_if_it_had_never_been)
{
        struct sw_track_ref r;
        unsigned i;

        for (i = 0; i < 12; i++)
                (void)see(i, 1, i, &r);
        cr_assert(see(11 + KEEP - 1, 1, 20, &r));
        cr_assert_not_null(r.large);
        cr_assert_eq(r.n, 2, "the last one and the new one");
        cr_assert_not(see(11 + KEEP - 1 + KEEP, 1, 21, &r), "a single one again");
        cr_assert_eq(used(2), 0);
}

Test(track, short_lived_ones_are_removed_in_passing)
{
        struct sw_track_ref r;
        unsigned i;

        for (i = 0; i < 20; i++) { /* some stay for long */
                (void)see(0, i, 1, &r);
                cr_assert(see(1, i, 2, &r));
                cr_assert(see(2, i, 3, &r));
        }
        for (i = 0; i < 4000; i++)
                (void)see((int64_t)i * SW_SECOND, 20 + i % 3500, i % 7, &r);
        /* 600 within ten minutes; the hand turns four places for each */
        cr_assert_lt(used(0), 20 + 600 * 4 / 3 + 40);
        cr_assert_eq(own.t[0].n_evicted, 0);
        cr_assert_eq(used(1), 20);
}

Test(track, stays_within_its_limits_and_a_lost_body_is_lost_alone)
{
        struct sw_track_ref r;
        unsigned i, k;

        drop();
        make(64 << 10, 8 << 10, 40 << 10);
        for (k = 0; k < 14; k++)
                for (i = 0; i < 200; i++)
                        (void)see(k * 1000 + i, i, k, &r);
        for (i = 0; i < SW_TRACK_TABLES; i++) {
                cr_assert_leq(own.t[i].bytes, own.t[i].limit_bytes);
                cr_assert_geq(own.t[0].n_used, i ? own.t[i].n_used : 0, "no body without a head");
        }
        cr_assert_gt(own.t[1].n_evicted + own.t[2].n_evicted, 0);
        cr_assert_eq(own.t[0].n_evicted, 0);
        /* Nobody has another's things. */
        for (i = 0; i < 200; i++) {
                struct sw_conn_event ev = event(20000, i, 0);
                struct sw_track_what what = what_of(&ev);

                if (sw_track_find(own.t, &what, v, &r) && r.large)
                        cr_assert_eq(r.large->key[0], ev.src);
        }
}

Test(track, an_evicted_head_takes_its_body_along)
{
        struct sw_track_ref r;
        unsigned i, k;

        drop();
        make(16 << 10, 1 << 20, 1 << 20);
        for (i = 0; i < 300; i++)
                for (k = 0; k < (i % 2 ? 3 : 12); k++)
                        (void)see(i * 100 + k, i, k, &r);
        cr_assert_gt(own.t[0].n_evicted, 100);
        cr_assert_leq(used(1) + used(2), used(0));
        cr_assert_gt(used(1), 0);
        cr_assert_gt(used(2), 0);
}

Test(track, without_room_to_grow_the_oldest_gives_way)
{
        struct sw_track_ref r;
        unsigned i;

        for (i = 0; i < 2; i++)
                (void)see(i, 1, i, &r);
        own.t[1].limit_bytes = own.t[2].limit_bytes = 0;
        cr_assert(see(2, 1, 2, &r));
        cr_assert_eq(r.n, 2);
        cr_assert_eq(r.items[0].last_ms, (uint32_t)(FAKE_START + 2));
        cr_assert_not(sw_track_grow_large(own.t, v, &r));
}

Test(track, damage_is_not_followed)
{
        struct sw_track_ref r;
        unsigned i;

        for (i = 0; i < 12; i++)
                (void)see(i, 1, i, &r);
        r.large->window.n = 65;
        cr_assert_not(see(20, 1, 20, &r), "a single one again");
        for (i = 0; i < 4; i++)
                (void)see(30 + i, 1, i, &r);
        r.head->n = 200;
        cr_assert_not(see(40, 1, 20, &r));
        cr_assert(see(41, 1, 21, &r));
        r.head->size = 9;
        cr_assert_not(see(50, 1, 20, &r));
        cr_assert(see(51, 1, 21, &r));
        r.head->size = SW_TRACK_IS_MIDDLE;
        r.head->body = UINT32_MAX;
        cr_assert_not(see(60, 1, 20, &r));
        cr_assert(see(61, 1, 21, &r));
        r.head->last_ms = INT64_MIN;
        cr_assert_not(see(70, 1, 20, &r));
        cr_assert(see(71, 1, 21, &r));
        r.head->last_ms = INT64_MAX;
        cr_assert_not(see(80, 1, 20, &r));
}

/* As simple as can be: the canonically smallest of five gives way to one that is five minutes younger. */
static void keep_plainly(struct sw_raise_evidence *k, const struct sw_conn_event *ev)
{
        uint32_t i, at = 0;

        for (i = 0; i < k->n; i++)
                if (sw_evidence_cmp(&k->e[i], &ev->first) == 0)
                        return;
        for (i = 1; i < k->n; i++)
                if (sw_evidence_cmp(&k->e[i], &k->e[at]) < 0)
                        at = i;
        if (k->n < SW_SIGNAL_EVIDENCE)
                at = k->n++;
        else if (ev->first.time.ms - k->e[at].time.ms < SW_RAISE_FRESH_MS)
                return;
        k->e[at] = ev->first;
        k->e[at].outcome = (uint8_t)ev->outcome;
}

Test(track, evidence_is_kept_as_if_all_of_it_were_looked_at)
{
        static const int64_t steps[] = { 0, 1, SW_MINUTE, SW_RAISE_FRESH_MS - 1, SW_RAISE_FRESH_MS, -SW_MINUTE,
                -SW_HOUR, SW_HOUR, 2 * SW_DAY, 23 * SW_DAY, 30 * SW_DAY };
        struct sw_raise_evidence plain = { 0 }, k = { 0 };
        uint64_t x = 88172645463325252ULL;
        int64_t ms = SW_DAY;
        unsigned step, i;

        for (step = 0; step < 20000; step++) {
                struct sw_conn_event ev;

                x = x * 6364136223846793005u + 1442695040888963407u;
                ms += steps[(x >> 40) % (step % 100 ? 8 : sizeof(steps) / sizeof(steps[0]))];
                ev = event(ms, 1, (unsigned)(x >> 50) % 3);
                ev.first.sport = (uint16_t)(x >> 33 & 1);
                keep_plainly(&plain, &ev);
                sw_raise_keep(&k, &ev);
                cr_assert_eq(k.n, plain.n);
                for (i = 0; i < k.n; i++)
                        cr_assert_eq(sw_evidence_cmp(&k.e[i], &plain.e[i]), 0, "step %u", step);
        }
}
