/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_DETECTOR_PIVOT_CHAIN);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_pivot_chain, .init = setup, .fini = teardown);

#define A "10.1.0.4"
#define B "10.2.0.5"
#define C "10.3.0.6"
#define D "10.2.0.7"
#define E "10.2.0.8"
#define X "198.51.100.7"

/* Opens at ms and answers a second later; stays open until closed. */
static struct sw_conn_event hop(
        int64_t ms, const char *src, const char *dst, uint16_t port, bool is_new, uint32_t *ret_n)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_OPENED, ms, src, dst, port);

        ev.rarity = is_new ? SW_RARE_NEW_EDGE : 0;
        *ret_n = fake_give(&r, &ev);
        ev.type = SW_CONN_SUCCEEDED;
        ev.outcome = SW_OUTCOME_OK;
        ev.time.ms += 1000;
        ev.last = ev.time;
        ev.payload_fwd = ev.payload_rev = 20000;
        *ret_n += fake_give(&r, &ev);
        return ev;
}

static void close_at(struct sw_conn_event ev, int64_t ms)
{
        ev.type = SW_CONN_CLOSED;
        ev.time.ms = ev.last.ms = FAKE_START + ms;
        cr_assert_eq(fake_give(&r, &ev), 0);
}

Test(det_pivot_chain, tells_two_new_hops)
{
        uint32_t n;

        hop(0, A, B, 3389, true, &n);
        cr_assert_eq(n, 0);
        hop(60000, B, C, 22, true, &n);
        cr_assert_eq(n, 1);
        cr_assert_eq(fake_last(&r)->actor, fake_host(r.v, A));
        cr_assert_eq(fake_last(&r)->n_chain, 3);
        cr_assert_eq(fake_last(&r)->chain[0], fake_host(r.v, A));
        cr_assert_eq(fake_last(&r)->chain[1], fake_host(r.v, B));
        cr_assert_eq(fake_last(&r)->chain[2], fake_host(r.v, C));
        cr_assert_eq(fake_last(&r)->confidence_pct, 70);
        cr_assert_not(fake_last(&r)->alone);
        cr_assert_eq(fake_last(&r)->n_evidence, 2);
        cr_assert_eq(fake_last(&r)->src_segment, FAKE_WEB);
        cr_assert_str_eq(fake_told(&r),
                "moved on over 2 hops: 10.1.0.4 -> 10.2.0.5 -> 10.3.0.6 in segment mgmt, the last "
                "one with ssh, in 61 s");
}

Test(det_pivot_chain, tells_three_hops_alone_and_five_as_well)
{
        uint32_t n;

        hop(0, A, B, 3389, true, &n);
        hop(60000, B, C, 22, true, &n);
        hop(120000, C, D, 445, true, &n);
        cr_assert_eq(n, 1);
        cr_assert_eq(fake_last(&r)->n_chain, 4);
        cr_assert_eq(fake_last(&r)->value, 3);
        cr_assert(fake_last(&r)->alone);
        hop(180000, D, E, 5985, true, &n);
        hop(240000, E, "10.2.0.9", 22, true, &n);
        cr_assert_eq(fake_last(&r)->n_chain, 6);
        cr_assert_eq(fake_last(&r)->value, 5);
        cr_assert_eq(fake_last(&r)->actor, fake_host(r.v, A));
        hop(300000, "10.2.0.9", "10.2.0.10", 22, true, &n); /* deeper than it looks back */
        cr_assert_eq(fake_last(&r)->n_chain, 6);
        cr_assert_eq(fake_last(&r)->actor, fake_host(r.v, B));
}

Test(det_pivot_chain, waits_ten_minutes_after_the_first_hop_ended)
{
        uint32_t n;

        close_at(hop(0, A, B, 3389, true, &n), 60000);
        hop(660000, B, C, 22, true, &n);
        cr_assert_eq(n, 1);
        close_at(hop(0, A, D, 3389, true, &n), 60000);
        hop(660001, D, C, 22, true, &n);
        cr_assert_eq(n, 0);
}

Test(det_pivot_chain, needs_the_first_hop_before_the_second)
{
        uint32_t n;

        hop(60000, B, C, 22, true, &n);
        hop(61000, A, B, 3389, true, &n);
        cr_assert_eq(n, 0);
        hop(61000, B, D, 22, true, &n); /* same millisecond: not caused by it */
        cr_assert_eq(n, 0);
}

Test(det_pivot_chain, needs_both_hops_to_tell_something)
{
        uint32_t n;

        hop(0, A, B, 3389, false, &n);
        hop(60000, B, C, 22, true, &n);
        cr_assert_eq(n, 0);
        hop(120000, A, D, 3389, true, &n);
        hop(180000, D, C, 22, false, &n);
        cr_assert_eq(n, 0);
}

/* Eight minutes in which both connections carry the same; returns the signals raised. */
static uint32_t relay(struct sw_conn_event ab, struct sw_conn_event bc)
{
        uint32_t raised = 0;
        int i;

        for (i = 1; i <= 8; i++) {
                ab.type = bc.type = SW_CONN_PROGRESSED;
                ab.time.ms = FAKE_START + i * SW_MINUTE;
                bc.time.ms = ab.time.ms + 100;
                ab.delta[SW_BYTES_FWD] = bc.delta[SW_BYTES_FWD] = (uint64_t)(1000 * (i % 3) + 100);
                ab.delta[SW_BYTES_REV] = (uint64_t)(5000 * (i % 4) + 100);
                bc.delta[SW_BYTES_REV] = ab.delta[SW_BYTES_REV] + 50;
                raised += fake_give(&r, &ab) + fake_give(&r, &bc);
                if (i == 3)
                        cr_assert_eq(raised, 0);
        }
        return raised;
}

Test(det_pivot_chain, finds_a_relay_over_one_known_edge)
{
        struct sw_conn_event ab, bc;
        uint32_t n;

        ab = hop(0, A, B, 22, true, &n);
        bc = hop(30000, B, C, 22, false, &n);
        cr_assert_eq(n, 0);
        cr_assert_eq(relay(ab, bc), 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 70);
        cr_assert_eq(fake_last(&r)->techniques, 3);
        cr_assert(strstr(fake_told(&r), "both connections carry the same traffic"));
}

Test(det_pivot_chain, takes_a_relay_over_known_edges_for_a_proxy)
{
        struct sw_conn_event ab, bc;
        uint32_t n;

        ab = hop(0, A, B, 22, false, &n);
        bc = hop(30000, B, C, 22, false, &n);
        cr_assert_eq(relay(ab, bc), 0);
}

Test(det_pivot_chain, is_surer_of_two_new_hops_that_carry_the_same)
{
        struct sw_conn_event ab, bc;
        uint32_t n;

        ab = hop(0, A, B, 22, true, &n);
        bc = hop(30000, B, C, 22, true, &n);
        cr_assert_eq(n, 1);
        cr_assert_not(fake_last(&r)->alone);
        bc.rarity = SW_RARE_NEW_EDGE;
        cr_assert_eq(relay(ab, bc), 1);
        cr_assert(fake_last(&r)->alone);
        cr_assert_eq(fake_last(&r)->confidence_pct, 90);
}

Test(det_pivot_chain, leaves_the_work_of_servers_alone)
{
        uint32_t n;

        hop(0, A, B, 8443, true, &n); /* a request comes in ... */
        hop(1000, B, C, 22, true, &n);
        cr_assert_eq(n, 0);
        hop(0, X, A, 3389, true, &n);
        hop(500, A, D, 22, true, &n);
        hop(2000, D, E, 1433, true, &n); /* ... or one more database server is used */
        cr_assert_eq(n, 0);
}

Test(det_pivot_chain, ignores_relayers_directories_and_refused_first_hops)
{
        struct sw_conn_event ev;
        uint32_t n;

        fake_role(r.v, B, SW_HOST_ROLE(DC));
        hop(0, A, B, 445, true, &n);
        hop(60000, B, C, 22, true, &n);
        cr_assert_eq(n, 0);
        hop(0, A, D, 389, true, &n);
        hop(60000, D, C, 22, true, &n);
        cr_assert_eq(n, 0);
        ev = fake_event(r.v, SW_CONN_OPENED, 0, A, E, 22);
        ev.rarity = SW_RARE_NEW_EDGE;
        fake_give(&r, &ev);
        ev.type = SW_CONN_DENIED;
        ev.outcome = SW_OUTCOME_DENIED;
        fake_give(&r, &ev);
        hop(60000, E, C, 22, true, &n);
        cr_assert_eq(n, 0);
}

Test(det_pivot_chain, does_not_forget_who_is_in_when_he_fails_once)
{
        struct sw_conn_event ev;
        uint32_t n;

        hop(0, A, B, 3389, true, &n);
        ev = fake_event(r.v, SW_CONN_OPENED, 10000, A, B, 3389);
        fake_give(&r, &ev);
        ev.type = SW_CONN_FAILED;
        ev.outcome = SW_OUTCOME_NOREPLY;
        fake_give(&r, &ev);
        hop(60000, B, C, 22, true, &n);
        cr_assert_eq(n, 1);
}

Test(det_pivot_chain, only_tells_whose_activity_goes_through_a_jump_host)
{
        uint32_t n;

        fake_role(r.v, B, SW_HOST_ROLE(JUMP));
        hop(0, A, B, 3389, false, &n);
        hop(60000, B, C, 22, true, &n);
        cr_assert_eq(n, 1);
        cr_assert_eq(fake_last(&r)->weight_pct, 0);
        cr_assert_eq(fake_last(&r)->variant, SW_PIVOT_CHAIN_JUMP);
        cr_assert_not(fake_last(&r)->alone);
        hop(120000, D, B, 3389, false, &n); /* two people at it: nobody can tell who */
        hop(180000, B, E, 22, true, &n);
        cr_assert_eq(n, 0);
}

Test(det_pivot_chain, names_the_entered_host_when_it_began_outside)
{
        uint32_t n;

        hop(0, X, A, 3389, true, &n);
        hop(60000, A, B, 22, true, &n);
        cr_assert_eq(n, 1);
        cr_assert_eq(fake_last(&r)->chain[0], fake_host(r.v, X));
        cr_assert_eq(fake_last(&r)->actor, fake_host(r.v, A));
}

Test(det_pivot_chain, takes_a_bot_at_the_door_for_nothing)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_SUCCEEDED, 0, X, A, 3389);
        uint32_t n;

        ev.rarity = SW_RARE_NEW_EDGE;
        fake_give(&r, &ev); /* 3 kB: no session */
        hop(60000, A, B, 22, true, &n);
        cr_assert_eq(n, 0);
}

Test(det_pivot_chain, says_a_chain_once_a_day_and_a_fan_out_in_steps)
{
        uint32_t n, sum = 0;
        unsigned i;

        hop(0, A, B, 3389, true, &n);
        hop(60000, B, C, 22, true, &n);
        hop(120000, B, C, 22, true, &n);
        cr_assert_eq(n, 0);
        for (i = 0; i < 40; i++) {
                hop(180000 + i, B, fake_addr("10.9.0.", i + 1), 22, true, &n);
                sum += n;
        }
        cr_assert_eq(sum, 1 + 4); /* a new segment with the 2nd chain; then the 4th, 8th, 16th and 32nd of 41 */
}

Test(det_pivot_chain, is_silent_while_learning_and_knows_ipv6)
{
        struct sw_conn_event ev;
        uint32_t n;

        hop(0, "fd00:1::4", "fd00:1::5", 22, true, &n);
        ev = fake_event(r.v, SW_CONN_SUCCEEDED, 60000, "fd00:1::5", "fd00:1::6", 22);
        ev.rarity = SW_RARE_NEW_EDGE;
        ev.learning = true;
        cr_assert_eq(fake_give(&r, &ev), 0);
        hop(60000, "fd00:1::5", "fd00:1::6", 22, true, &n);
        cr_assert_eq(n, 1);
}

Test(det_pivot_chain, does_not_walk_in_circles)
{
        uint32_t n;

        hop(0, A, B, 22, true, &n);
        hop(1000, B, A, 22, true, &n);
        cr_assert_eq(n, 0);
        hop(2000, A, C, 22, true, &n);
        cr_assert_eq(n, 1);
        cr_assert_eq(fake_last(&r)->n_chain, 3); /* B, A, C and not A, B, A, C */
}

static uint32_t entries(unsigned table)
{
        return r.detect.tables[SW_DETECTOR_PIVOT_CHAIN].t[table].n_used;
}

Test(det_pivot_chain, remembers_sixteen_who_are_in_and_takes_more_room_at_the_third)
{
        uint32_t n, chains = 0;
        unsigned i;

        for (i = 0; i < 17; i++) {
                hop(i * 1000, fake_addr("10.1.0.", i + 1), B, 22, true, &n);
                cr_assert_eq(entries(0), 1);
                cr_assert_eq(entries(1), i >= 2, "%u", i);
        }
        /* The first one gave way; any of the others may have gone on. */
        hop(60000, B, C, 22, true, &n);
        cr_assert_eq(n, 1);
        cr_assert_eq(fake_last(&r)->chain[0], fake_host(r.v, "10.1.0.2"), "the smallest address that is left");
        for (i = 0; i < 4; i++) {
                hop(70000 + i * 1000, C, fake_addr("10.2.1.", i + 1), 445, true, &n);
                chains += n;
        }
        cr_assert_gt(chains, 0);
        cr_assert_eq(fake_last(&r)->n_chain, 4);
}

Test(det_pivot_chain, keeps_a_rhythm_of_many_minutes_and_drops_it_with_its_connection)
{
        struct sw_conn_event a, b;
        uint32_t n;
        unsigned i;

        a = hop(0, A, B, 3389, true, &n);
        b = hop(2000, B, C, 5985, false, &n);
        for (i = 1; i <= 12; i++) {
                a.type = b.type = SW_CONN_PROGRESSED;
                a.time.ms = a.last.ms = FAKE_START + i * SW_MINUTE;
                b.time.ms = b.last.ms = a.time.ms + 10;
                a.delta[SW_BYTES_FWD] = 1000 * (i * 7 % 5) + 100;
                a.delta[SW_BYTES_REV] = 500 * (i * 3 % 7);
                b.delta[SW_BYTES_FWD] = a.delta[SW_BYTES_FWD] + i;
                b.delta[SW_BYTES_REV] = a.delta[SW_BYTES_REV] + 2 * i;
                fake_give(&r, &a);
                fake_give(&r, &b);
                cr_assert_eq(entries(2), 2);
                cr_assert_eq(entries(3), i > 6 ? 2 : 0, "%u", i);
        }
        cr_assert_gt(r.out.n, 0);
        cr_assert_eq(fake_last(&r)->actor, fake_host(r.v, A));
        close_at(a, 13 * SW_MINUTE);
        close_at(b, 13 * SW_MINUTE);
        cr_assert_eq(entries(2) + entries(3), 0);
}
