/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions of a Kafka source: where each begins, what is gone. */
#include "base/alloc.h"
#include "clock.h"
#include "source/source_kafka_int.h"

#include <stdio.h>
#include <string.h>

bool sw__kafka_has(const struct sw_source_kafka *s, int32_t number)
{
        return number >= 0 && number < s->n_partitions && s->partitions[number].known;
}

struct sw__kafka_partition *sw__kafka_find(const struct sw_source_kafka *s, uint32_t id, int32_t *ret_number)
{
        int32_t i;

        for (i = 0; i < s->n_partitions; i++)
                if (s->partitions[i].known && s->partitions[i].id == id) {
                        *ret_number = i;
                        return &s->partitions[i];
                }
        return NULL;
}

void sw__kafka_set_at_end(struct sw_source_kafka *s, struct sw__kafka_partition *p, bool at_end)
{
        if (p->at_end == at_end)
                return;
        p->at_end = at_end;
        s->hooks.on_at_end(s->hooks.ctx, p->id, at_end);
}

/* Each partition has a queue of its own, which wakes the loop like the common one. Before its first assignment: it then
 * stays unforwarded. */
static bool kafka_open_queue(struct sw_source_kafka *s, int32_t number)
{
        static const uint64_t one = 1;
        struct sw__kafka_partition *p = &s->partitions[number];

        if (p->queue)
                return true;
        p->queue = rd_kafka_queue_get_partition(s->rk, s->topic, number);
        if (!p->queue)
                return false;
        rd_kafka_queue_forward(p->queue, NULL);
        rd_kafka_queue_io_event_enable(p->queue, s->event_fd, &one, sizeof(one));
        return true;
}

void sw__kafka_flush(struct sw__kafka_partition *p)
{
        while (p->first) {
                struct sw__kafka_waiting *w = p->first;

                p->first = w->next;
                rd_kafka_message_destroy(w->m);
                sw_free(w);
        }
        p->last = NULL;
        p->waiting_bytes = 0;
}

void sw__kafka_assign(struct sw_source_kafka *s, int32_t number)
{
        struct sw__kafka_partition *p = &s->partitions[number];
        rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
        rd_kafka_error_t *e = NULL;

        rd_kafka_topic_partition_list_add(l, s->topic, number)->offset = p->verify ? p->check : p->next;
        sw__kafka_flush(p);
        if (p->started) {
                e = rd_kafka_incremental_unassign(s->rk, l);
                if (e)
                        rd_kafka_error_destroy(e);
        }
        p->started = false;
        if (kafka_open_queue(s, number)) {
                e = rd_kafka_incremental_assign(s->rk, l);
                p->started = !e;
        }
        rd_kafka_topic_partition_list_destroy(l);
        if (p->started)
                return;
        sw_log(s->log, SW_LOG_ERROR, "kafka_assign", s->name, "partition %d of %s cannot be read: %s", number, s->topic,
                e ? rd_kafka_error_string(e) : "no queue");
        if (e)
                rd_kafka_error_destroy(e);
}

/* The topic is another one: everything of it is new. */
static void kafka_anew(struct sw_source_kafka *s, struct sw__kafka_partition *p, int64_t low)
{
        int64_t expected = p->next;
        struct sw_source_place last;

        p->next = low;
        p->refilled = p->verify = false;
        p->check = -1;
        p->hash_before = s->hooks.on_last && s->hooks.on_last(s->hooks.ctx, p->id, &last) ? last.hash : 0;
        s->gaps++;
        s->hooks.on_recreated(s->hooks.ctx, p->id, expected, low);
}

/* Compares where to go on with what the broker still has: [low, high). */
static void kafka_within(struct sw_source_kafka *s, int32_t number, int64_t low, int64_t high)
{
        struct sw__kafka_partition *p = &s->partitions[number];
        char subject[128]; /* every partition's gap is told */

        if (p->next >= low && p->next <= high)
                return;
        snprintf(subject, sizeof(subject), "%s/%d", s->name, number);
        if (p->next < low) {
                s->gaps++;
                s->gap_messages += (uint64_t)(low - p->next);
                sw_log(s->log, SW_LOG_ERROR, "kafka_gap", subject,
                        "partition %d of %s: offsets [%lld, %lld) are gone, %lld messages were deleted before they "
                        "could be "
                        "read; going on at %lld",
                        number, s->topic, (long long)p->next, (long long)low, (long long)(low - p->next),
                        (long long)low);
                s->hooks.on_gap(s->hooks.ctx, p->id, p->next, low);
                p->next = low;
                p->check = -1;
        } else {
                sw_log(s->log, SW_LOG_ERROR, "kafka_recreated", subject,
                        "partition %d of %s ends at offset %lld, before the %lld that was to be read next: the topic "
                        "was made anew; reading it from its start",
                        number, s->topic, (long long)high, (long long)p->next);
                kafka_anew(s, p, low);
        }
        p->verify = false;
}

/* The first offset of a partition nobody's state or group knows. */
static int64_t kafka_start_offset(const struct sw_source_kafka *s, int32_t number, int64_t low, int64_t high)
{
        int64_t at;

        switch (s->start) {
        case SW_SOURCE_KAFKA_LATEST:
                return high;
        case SW_SOURCE_KAFKA_TIME:
                at = sw__kafka_ask_offset(s->ask.at_time, s->topic, number);
                return at >= 0 ? at : high;
        default:
                return low;
        }
}

static void kafka_start(struct sw_source_kafka *s, const struct sw__kafka_partition *p, int64_t high)
{
        const struct sw_source_place at = { .next = p->next, .until = SW_SOURCE_EVERYTHING, .stamp = SW_ETIME_NONE };

        s->hooks.on_start(s->hooks.ctx, p->id, &at, p->next < high);
}

static void kafka_asked(struct sw_source_kafka *s, const struct sw__kafka_partition *p)
{
        if (s->hooks.on_asked)
                s->hooks.on_asked(s->hooks.ctx, p->id);
}

static bool kafka_group_knows(const struct sw_source_kafka *s)
{
        int i;

        for (i = 0; s->ask.group && i < s->ask.group->cnt; i++)
                if (s->ask.group->elems[i].offset >= 0)
                        return true;
        return false;
}

int sw__kafka_add(struct sw_source_kafka *s, int32_t number)
{
        int64_t low = sw__kafka_ask_offset(s->ask.low, s->topic, number);
        int64_t high = sw__kafka_ask_offset(s->ask.high, s->topic, number);
        struct sw_source_place place = { .until = SW_SOURCE_EVERYTHING, .stamp = SW_ETIME_NONE };
        struct sw__kafka_partition *p = &s->partitions[number];
        int64_t next, group;

        if (low < 0 || high < 0)
                return 1; /* without a leader for now: asked for again */
        if (s->hooks.on_partition(s->hooks.ctx, s->topic, number, &p->id, &place) < 0) {
                sw_log(s->log, SW_LOG_ERROR, "kafka_partition", s->name, "partition %d of %s: too many partitions",
                        number, s->topic);
                return 0;
        }
        next = place.next;
        group = sw__kafka_ask_offset(s->ask.group, s->topic, number);
        if (next == SW_SOURCE_NEVER_READ && group >= 0)
                next = group;
        else if (next == SW_SOURCE_NEVER_READ && !s->started_once && !kafka_group_knows(s))
                next = kafka_start_offset(s, number, low, high);
        else if (next < 0)
                next = low; /* the topic grew: nothing of the new partition may be missed */
        p->known = true;
        p->next = next;
        p->committed = group >= 0 ? group : next;
        p->until = place.until;
        p->stamp = place.stamp;
        p->hash = place.hash;
        p->low = low;
        p->high = high;
        p->checked_ms = sw_clock_mono().ms;
        p->check = place.next > 0 && place.hash ? next - 1 : -1;
        p->verify = p->check >= low && next <= high;
        kafka_within(s, number, low, high);
        kafka_start(s, p, high);
        kafka_asked(s, p);
        sw__kafka_assign(s, number);
        sw_log(s->log, SW_LOG_INFO, "kafka_partition", s->name,
                "partition %d of %s: reading from offset %lld (has %lld to %lld)", number, s->topic, (long long)p->next,
                (long long)low, (long long)high);
        return 0;
}

int sw__kafka_grow(struct sw_source_kafka *s, int32_t n)
{
        struct sw__kafka_partition *p;

        if (n <= s->n_partitions)
                return 0;
        p = sw_realloc_array(s->partitions, (size_t)n, sizeof(*p));
        if (!p)
                return -SW_ERR_NOMEM;
        memset(p + s->n_partitions, 0, (size_t)(n - s->n_partitions) * sizeof(*p));
        s->partitions = p;
        s->n_partitions = n;
        return 0;
}

/* It was out of range, or something says that the topic may be another one. */
static void kafka_again(struct sw_source_kafka *s, int32_t number, int64_t low, int64_t high)
{
        struct sw__kafka_partition *p = &s->partitions[number];
        bool refilled = p->refilled, reset = p->reset_wanted;
        int64_t before = p->next;

        p->reset_wanted = p->suspect = false;
        if (refilled)
                kafka_anew(s, p, low);
        else
                kafka_within(s, number, low, high);
        if (refilled || p->next != before) {
                kafka_start(s, p, high);
        } else {
                p->verify = p->check >= low && p->check < high;
                if (!reset && !p->verify)
                        return;
        }
        sw__kafka_assign(s, number);
}

/* The answer names an end offset asked for after everything before it was read: that is what "at its end" means. A
 * range that goes back belongs to another topic, or to one that lost something. */
void sw__kafka_use_range(struct sw_source_kafka *s, int32_t number)
{
        struct sw__kafka_partition *p = &s->partitions[number];
        int64_t low = sw__kafka_ask_offset(s->ask.low, s->topic, number);
        int64_t high = sw__kafka_ask_offset(s->ask.high, s->topic, number);

        if (low < 0 || high < 0) {
                sw__kafka_set_at_end(s, p, false);
                return;
        }
        p->suspect = p->suspect || high < p->high || low < p->low;
        p->low = low;
        p->high = high;
        if (p->reset_wanted || p->suspect)
                kafka_again(s, number, low, high);
        kafka_asked(s, p);
        sw__kafka_set_at_end(s, p, p->next >= high);
}
