/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka_kit.h"

/* ---- delivery ---- */

static bool all_of_three(struct kit *k)
{
        return k->n_total == 30 && k->at_end[0] && k->at_end[1] && k->at_end[2];
}

static void add_lag(void *ctx, int32_t partition, int64_t lag)
{
        int64_t *sum = ctx;

        *sum += lag + 1000 * (partition + 1);
}

Test(source_kafka, every_partition_is_read_in_order_from_its_start)
{
        struct kit *k = kit_new(3);
        struct sw_source_stats stats;
        int64_t sum = 0;
        int i, p;

        for (p = 0; p < 3; p++)
                kit_produce(k, p, 10, 0);
        kit_start(k);
        cr_assert_eq(sw_source_kafka_n_partitions(k->source), -1, "nobody was asked yet");
        cr_assert_not(sw_source_kafka_reached(k->source, 10, 0));
        sw_source_kafka_until(k->source, 10, 5); /* not found yet: no partition, no limit */
        kit_until(k, all_of_three);
        cr_assert_eq(sw_source_kafka_n_partitions(k->source), 3);
        cr_assert_str_eq(sw_source_kafka_topic(k->source), "t");
        for (p = 0; p < 3; p++) {
                cr_assert_eq(k->starts[p], 0);
                cr_assert(k->has_more[p]);
                cr_assert_eq(k->front[p].ms, KIT_STAMP + 9 * 60000);
                for (i = 0; i < 10; i++)
                        cr_assert_eq(k->offsets[p][i], i);
                cr_assert(sw_source_kafka_reached(k->source, (uint32_t)p + 10, 10));
                cr_assert_not(sw_source_kafka_reached(k->source, (uint32_t)p + 10, 11));
        }
        sw_source_kafka_stats(k->source, &stats);
        cr_assert_eq(stats.n_partitions, 3);
        cr_assert_eq(stats.n_at_end, 3);
        cr_assert_eq(stats.lag, 0);
        cr_assert_eq(stats.messages, 30);
        cr_assert_eq(stats.n_errors, 0);
        cr_assert_not(stats.failing);
        sw_source_kafka_lags(k->source, add_lag, &sum);
        cr_assert_eq(sum, 6000, "three of them, at their ends");
        cr_assert_gt(k->n_rounds, 0);
        cr_assert(kit_said(k, "partition 2 of t: reading from offset 0 (has 0 to 10)"));
        kit_free(k);
}

static bool five_and_refused(struct kit *k)
{
        return k->n_refused > 0;
}

static bool ten(struct kit *k)
{
        return k->n_total == 10;
}

Test(source_kafka, no_room_costs_nothing)
{
        struct kit *k = kit_new(1);
        struct sw_source_stats stats;
        int i;

        kit_produce(k, 0, 10, 0);
        k->answer = 1;
        kit_start(k);
        kit_until(k, five_and_refused);
        kit_for(k, 50);
        cr_assert_eq(k->n_refused, 1, "not asked again before there is room");
        sw_source_kafka_stats(k->source, &stats);
        cr_assert(stats.waiting_for_room);
        cr_assert_eq(stats.messages, 0);
        k->answer = 0;
        sw_source_kafka_room(k->source);
        kit_until(k, ten);
        for (i = 0; i < 10; i++)
                cr_assert_eq(k->offsets[0][i], i);
        sw_source_kafka_stop(k->source);
        sw_source_kafka_room(k->source); /* nothing comes of it */
        kit_free(k);
}

Test(source_kafka, a_refusal_for_good_stops)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 10, 0);
        k->answer = -1;
        kit_start(k);
        kit_until(k, five_and_refused);
        k->answer = 0;
        sw_source_kafka_room(k->source);
        kit_for(k, 100);
        cr_assert_eq(k->n_refused, 1);
        cr_assert_eq(k->n_total, 0);
        kit_free(k);
}

Test(source_kafka, too_many_partitions_are_told_and_left)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 1, 0);
        k->refuse_partitions = 1;
        kit_start(k);
        kit_for(k, 700);
        cr_assert_eq(k->n_total, 0);
        cr_assert(kit_said(k, "partition 0 of t: too many partitions"));
        kit_free(k);
}

/* ---- limits ---- */

static bool parked(struct kit *k)
{
        return k->n_messages[0] == 4 && k->n_messages[1] == 10;
}

static bool twenty(struct kit *k)
{
        return k->n_total == 20;
}

Test(source_kafka, what_lies_beyond_waits_and_holds_nobody_up)
{
        struct kit *k = kit_new(2);

        kit_produce(k, 0, 10, 0);
        kit_produce(k, 1, 10, 0);
        k->places[0].until = 4;
        kit_start(k);
        kit_until(k, parked);
        kit_for(k, 50);
        cr_assert_eq(k->n_total, 14);
        cr_assert(sw_source_kafka_reached(k->source, 10, 4));
        cr_assert_not(sw_source_kafka_reached(k->source, 10, 5));
        sw_source_kafka_until(k->source, 10, 4); /* no change */
        sw_source_kafka_until(k->source, 10, SW_SOURCE_EVERYTHING);
        kit_until(k, twenty);
        kit_free(k);
}

static bool seven(struct kit *k)
{
        return k->n_total == 7;
}

Test(source_kafka, messages_later_than_the_limit_wait)
{
        struct kit *k = kit_new(1);
        const struct sw_etime limit = { KIT_STAMP + 6 * 60000 };
        struct sw_source_stats stats;

        kit_produce(k, 0, 10, 0);
        kit_start(k);
        sw_source_kafka_limit(k->source, limit);
        kit_until(k, seven);
        kit_for(k, 50);
        cr_assert_eq(k->n_total, 7, "up to the limit, which is within");
        sw_source_kafka_stats(k->source, &stats);
        cr_assert_eq(stats.n_ahead, 1);
        cr_assert_eq(stats.lag, 3);
        sw_source_kafka_limit(k->source, limit); /* no change */
        sw_source_kafka_limit(k->source, (struct sw_etime){ limit.ms - 60000 });
        kit_for(k, 20);
        cr_assert_eq(k->n_total, 7);
        sw_source_kafka_limit(k->source, SW_ETIME_NONE);
        kit_until(k, ten);
        kit_free(k);
}

/* ---- where it begins ---- */

Test(source_kafka, a_new_reader_may_begin_at_the_end)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 3, 0);
        k->conf.start = SW_SOURCE_KAFKA_LATEST;
        kit_start(k);
        kit_for(k, 500);
        cr_assert_eq(k->starts[0], 3);
        cr_assert_not(k->has_more[0]);
        kit_produce(k, 0, 10, 0);
        kit_until(k, ten);
        cr_assert_eq(k->offsets[0][0], 3);
        kit_free(k);
}

static bool has_started(struct kit *k)
{
        return k->n_starts > 0;
}

Test(source_kafka, a_time_nobody_has_written_since_is_the_end)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 3, 0);
        k->conf.start = SW_SOURCE_KAFKA_TIME;
        k->conf.start_time = (struct sw_etime){ KIT_STAMP + SW_DAY };
        kit_start(k);
        kit_until(k, has_started);
        cr_assert_eq(k->starts[0], 3);
        kit_free(k);
}

Test(source_kafka, a_partition_that_others_were_read_beside_begins_at_its_start)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 10, 0);
        k->conf.start = SW_SOURCE_KAFKA_LATEST;
        k->places[0].next = SW_SOURCE_NEW;
        kit_start(k);
        kit_until(k, ten);
        cr_assert_eq(k->starts[0], 0);
        kit_free(k);
}

Test(source_kafka, the_group_says_where_a_state_that_was_lost_goes_on)
{
        static const uint32_t ids[] = { 10, 99 };
        static const int64_t next[] = { 6, 1 };
        struct kit *k = kit_new(2);

        kit_produce(k, 0, 10, 0);
        kit_produce(k, 1, 10, 0);
        kit_start(k);
        kit_until(k, twenty);
        sw_source_kafka_commit(k->source, ids, next, 2, true); /* 99 is nobody */
        kit_stop(k);
        k->conf.start = SW_SOURCE_KAFKA_LATEST;
        k->n_total = k->n_messages[0] = k->n_messages[1] = 0;
        kit_start(k);
        kit_for(k, 700);
        cr_assert_eq(k->starts[0], 6);
        cr_assert_eq(k->starts[1], 0, "the group is known, this partition of it is new: all of it");
        cr_assert_eq(k->n_total, 14);
        kit_free(k);
}

/* ---- what was read before ---- */

static uint64_t hash_of(int n)
{
        char text[96];
        int len = snprintf(text, sizeof(text), "{\"records\":[{\"time\":\"2026-01-01T00:%02d:00Z\",\"n\":%d}]}", n, n);

        return sw_checksum(text, (size_t)len, 0);
}

static bool five(struct kit *k)
{
        return k->n_total == 5;
}

Test(source_kafka, goes_on_behind_the_message_that_was_read_last)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 10, 0);
        k->places[0].next = 5;
        k->places[0].hash = hash_of(4);
        k->places[0].stamp = (struct sw_etime){ KIT_STAMP + 4 * 60000 };
        kit_start(k);
        kit_until(k, five);
        cr_assert_eq(k->offsets[0][0], 5);
        cr_assert_eq(k->n_anew, 0);
        kit_free(k);
}

static void other_message(int hash_n, int64_t stamp)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 10, 0);
        k->places[0].next = 5;
        k->places[0].hash = hash_of(hash_n);
        k->places[0].stamp = (struct sw_etime){ stamp };
        kit_start(k);
        kit_until(k, ten);
        cr_assert_eq(k->n_anew, 1);
        cr_assert_eq(k->expected, 5);
        cr_assert_eq(k->anew, 0);
        cr_assert_eq(k->offsets[0][0], 0);
        cr_assert(kit_said(k, "the message at offset 4 is not the one that was read there"));
        kit_free(k);
}

Test(source_kafka, another_message_there_means_another_topic)
{
        other_message(3, KIT_STAMP + 4 * 60000);
}

Test(source_kafka, the_same_message_of_another_time_means_another_topic)
{
        other_message(4, KIT_STAMP + 3 * 60000);
}

Test(source_kafka, a_topic_that_ends_before_means_another_topic)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 10, 0);
        k->places[0].next = 700;
        kit_start(k);
        kit_until(k, ten);
        cr_assert_eq(k->n_anew, 1);
        cr_assert_eq(k->expected, 700);
        cr_assert(kit_said(k, "partition 0 of t ends at offset 10, before the 700 that was to be read next"));
        kit_free(k);
}

static bool has_gap(struct kit *k)
{
        return k->n_gaps == 1 && k->at_end[0];
}

Test(source_kafka, what_retention_took_is_an_exact_gap)
{
        struct kit *k = kit_new(1);
        struct sw_source_stats stats;

        kit_produce(k, 0, 8, 900 << 10); /* the mock keeps 5 MiB */
        k->places[0].next = 1;
        k->places[0].hash = 77;
        kit_start(k);
        kit_until(k, has_gap);
        cr_assert_eq(k->gap_from, 1);
        cr_assert_gt(k->gap_to, 1);
        cr_assert_eq(k->starts[0], k->gap_to);
        cr_assert_eq(k->offsets[0][0], k->gap_to);
        cr_assert_eq(k->n_total, 8 - k->gap_to);
        sw_source_kafka_stats(k->source, &stats);
        cr_assert_eq(stats.gaps, 1);
        cr_assert_eq(stats.gap_messages, (uint64_t)(k->gap_to - 1));
        kit_free(k);
}

/* ---- who else reads it ---- */

static struct rd_kafka_s *claimant(struct kit *k)
{
        rd_kafka_conf_t *c = rd_kafka_conf_new();
        char text[256];
        rd_kafka_t *rk;

        rd_kafka_conf_set_log_cb(c, kit_quiet);
        rd_kafka_conf_set(c, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(k->cluster), text, sizeof(text));
        rd_kafka_conf_set(c, "group.id", "segwatch-t", text, sizeof(text));
        rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, text, sizeof(text));
        cr_assert(rk, "%s", text);
        return rk;
}

/* Somebody commits 0 for partition 0 with this metadata. */
static void commit(struct kit *k, const char *text)
{
        rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_t *e = rd_kafka_topic_partition_list_add(l, "t", 0);
        rd_kafka_t *rk = claimant(k);

        e->offset = 0;
        e->metadata = strdup(text);
        e->metadata_size = strlen(text);
        cr_assert_eq(rd_kafka_commit(rk, l, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
        rd_kafka_topic_partition_list_destroy(l);
        rd_kafka_destroy(rk);
}

/* With a claim, made so long ago. */
static void claim(struct kit *k, const char *id, unsigned term, int64_t age_ms, const char *state)
{
        struct timespec now;
        char text[256];

        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(text, sizeof(text), "segwatch id=%s term=%u host=other pid=7 at=%lld %s", id, term,
                (long long)now.tv_sec * 1000 - (long long)age_ms, state);
        commit(k, text);
}

#define ME "00000000000000000000000000000005"
#define LOWER "00000000000000000000000000000001"
#define HIGHER "00000000000000000000000000000009"

static bool heard_of_owner(struct kit *k)
{
        return *k->owner;
}

static struct kit *kit_me(void)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 10, 0);
        k->conf.instance = ME;
        return k;
}

Test(source_kafka, who_is_there_already_is_told_and_nothing_is_read)
{
        static const uint32_t id = 10;
        static const int64_t next = 5;
        struct kit *k = kit_me();

        claim(k, LOWER, 3, 5000, "active");
        kit_start(k);
        kit_until(k, heard_of_owner);
        cr_assert(strstr(k->owner,
                          "another instance reads the topic t under this consumer group: on other, process id 7"),
                "%s", k->owner);
        cr_assert_eq(k->n_total, 0);
        sw_source_kafka_commit(k->source, &id, &next, 1, false); /* not ours to say */
        kit_free(k);
}

static bool has_claimed(struct kit *k)
{
        return k->source->owner.next_claim_ms > 0 && k->n_total == 10;
}

static void claim_is_no_hindrance(unsigned term, int64_t age_ms, const char *state, bool take_over)
{
        struct kit *k = kit_me();

        claim(k, HIGHER, term, age_ms, state);
        k->conf.take_over = take_over;
        kit_start(k);
        kit_until(k, has_claimed);
        kit_for(k, 600); /* and reads it again */
        cr_assert_str_eq(k->owner, "");
        cr_assert_eq(k->source->owner.term, term + 1);
        kit_free(k);
}

Test(source_kafka, who_has_left_is_no_hindrance)
{
        claim_is_no_hindrance(4, 1000, "left", false);
}

Test(source_kafka, who_was_not_heard_of_for_two_minutes_is_no_hindrance)
{
        claim_is_no_hindrance(4, 121000, "active", false);
}

Test(source_kafka, who_is_taken_over_is_no_hindrance)
{
        claim_is_no_hindrance(8, 1000, "active", true);
}

Test(source_kafka, a_claim_from_a_clock_far_ahead_is_no_hindrance)
{
        claim_is_no_hindrance(8, -130000, "active", false);
}

Test(source_kafka, metadata_of_another_program_is_no_claim)
{
        struct kit *k = kit_me();

        commit(k, "parser=2.1 host=other");
        kit_start(k);
        kit_until(k, has_claimed);
        cr_assert_str_eq(k->owner, "");
        cr_assert_eq(k->source->owner.term, 1);
        kit_free(k);
}

Test(source_kafka, a_claim_with_numbers_that_nobody_counts_to_is_none)
{
        static const char *const texts[] = {
                "segwatch id=" HIGHER " term=18446744073709551615 host=other pid=7 at=1772000000000 active",
                "segwatch id=" HIGHER " term=7 host=other pid=7 at=-9223372036854775808 active",
        };
        size_t i;

        for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                struct kit *k = kit_me();

                commit(k, texts[i]);
                kit_start(k);
                kit_until(k, has_claimed);
                cr_assert_str_eq(k->owner, "");
                cr_assert_eq(k->source->owner.term, 1, "%s", texts[i]);
                kit_free(k);
        }
}

static void taken_over(const char *by, unsigned term, bool expected)
{
        struct kit *k = kit_me();

        kit_start(k);
        kit_until(k, has_claimed);
        kit_for(k, 200);
        cr_assert_eq(k->source->owner.term, 1);
        claim(k, by, term, 0, "active");
        (void)kit_run(k, expected ? heard_of_owner : NULL, 700);
        cr_assert_eq(strstr(k->owner, "was taken over by the instance on other") != NULL, expected, "'%s'", k->owner);
        kit_free(k);
}

Test(source_kafka, a_higher_term_takes_over)
{
        taken_over(LOWER, 2, true);
}

Test(source_kafka, of_two_that_began_together_the_lower_id_leaves)
{
        taken_over(HIGHER, 1, true);
}

Test(source_kafka, of_two_that_began_together_the_higher_id_stays)
{
        taken_over(LOWER, 1, false);
}

Test(source_kafka, who_leaves_says_so)
{
        static const uint32_t id = 10;
        static const int64_t next = 10;
        struct kit *k = kit_me();
        rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
        rd_kafka_t *rk;

        kit_start(k);
        kit_until(k, ten);
        sw_source_kafka_commit(k->source, &id, &next, 1, true);
        kit_stop(k);
        rk = claimant(k);
        rd_kafka_topic_partition_list_add(l, "t", 0);
        cr_assert_eq(rd_kafka_committed(rk, l, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
        cr_assert_eq(l->elems[0].offset, 10);
        cr_assert(memmem(l->elems[0].metadata, l->elems[0].metadata_size, "segwatch id=" ME " term=1 host=", 50));
        cr_assert(memmem(l->elems[0].metadata, l->elems[0].metadata_size, " left", 5));
        rd_kafka_topic_partition_list_destroy(l);
        rd_kafka_destroy(rk);
        kit_free(k);
}
