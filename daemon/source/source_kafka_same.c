/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a topic is still the one that was read. A topic that was deleted, made anew and filled again while nobody
 * looked answers like the old one: the client library does not tell its identity. So one message that was read is kept
 * in mind (offset, time stamp, hash) and read again: at a start, when the topic was away or its range went back, when
 * another partition turned out to be new, when what is newer begins before it, and every now and then. What was
 * delivered up to a comparison that held was of that topic, so the next message to compare is chosen then. */
#include "base/hash.h"
#include "clock.h"
#include "source/source_kafka_int.h"

#include <stdio.h>

#define SAME_LITTLE ((uint64_t)256 << 10) /* delivered since: to read again costs little */
#define SAME_BUSY_MS (INT64_C(5) * 60000) /* else: it costs what librdkafka fetches at once, twice */

/* Keeps the newest message that was taken in mind. */
static void same_choose(struct sw_source_kafka *s, struct sw__kafka_partition *p)
{
        struct sw_source_place last;

        p->checked_ms = sw_clock_mono().ms;
        p->n_since = 0;
        /* what is left of the topic before this one says nothing about it */
        if (!s->hooks.on_last || !s->hooks.on_last(s->hooks.ctx, p->id, &last) || last.next > p->next ||
                last.hash == p->hash_before)
                return;
        p->check = last.next - 1;
        p->stamp = last.stamp;
        p->hash = last.hash;
        p->hash_before = 0;
}

void sw__kafka_suspect(struct sw_source_kafka *s)
{
        int32_t i;

        for (i = 0; i < s->n_partitions; i++)
                s->partitions[i].suspect = s->partitions[i].known;
}

bool sw__kafka_verify(struct sw_source_kafka *s, struct sw__kafka_partition *p, const rd_kafka_message_t *m)
{
        rd_kafka_timestamp_type_t type;
        int64_t stamp;
        char subject[128];

        if (!p->verify || m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                return true;
        p->verify = false;
        stamp = rd_kafka_message_timestamp(m, &type);
        if (m->offset != p->check || (sw_checksum(m->payload, m->len, 0) == p->hash &&
                                             (sw_etime_is_none(p->stamp) || p->stamp.ms == stamp))) {
                bool is_next = m->offset + 1 >= p->next; /* else it is somewhere in what was read */

                if (m->offset != p->check)
                        p->check = -1; /* it is gone */
                same_choose(s, p);
                if (!is_next)
                        sw__kafka_assign(s, m->partition);
                return m->offset >= p->next;
        }
        snprintf(subject, sizeof(subject), "%s/%d", s->name, m->partition);
        sw_log(s->log, SW_LOG_ERROR, "kafka_recreated", subject,
                "partition %d of %s: the message at offset %lld is not the one that was read there: the topic was made "
                "anew and filled again; reading it from its start",
                m->partition, s->topic, (long long)m->offset);
        p->refilled = p->reset_wanted = true;
        sw__kafka_suspect(s); /* the others are of that topic, too */
        return false;
}

bool sw__kafka_wants_after(const struct sw__kafka_partition *p, int64_t now_ms)
{
        return p->known && p->started && p->check >= 0 && !sw_etime_is_none(p->stamp) && !p->verify && !p->suspect &&
               !p->reset_wanted && (p->doubted_ms == 0 || now_ms - p->doubted_ms >= SAME_BUSY_MS);
}

/* All of a new topic is newer, from its first message on. Where producers set the time stamps, older ones may follow
 * newer ones: then the comparison says that it is the same, and time stamps are not asked for a while. */
void sw__kafka_use_after(struct sw_source_kafka *s, int32_t number)
{
        struct sw__kafka_partition *p = &s->partitions[number];
        int64_t at = sw__kafka_ask_offset(s->ask.after, s->topic, number);

        if (at < 0 || p->check < 0 || at > p->check)
                return;
        p->suspect = true;
        p->doubted_ms = sw_clock_mono().ms;
}

static void same_look(struct sw_source_kafka *s, int32_t number, int64_t now)
{
        struct sw__kafka_partition *p = &s->partitions[number];
        int64_t pause = p->n_since > SAME_LITTLE ? SAME_BUSY_MS : s->discovery_ms;

        if (!p->known || !p->started || p->verify || p->reset_wanted || p->until != SW_SOURCE_EVERYTHING)
                return;
        if (p->check >= 0 && p->check < p->low)
                p->check = -1; /* retention took it */
        if (p->check < 0) {
                same_choose(s, p);
                return;
        }
        /* what waits would have to be fetched again */
        if (now - p->checked_ms < pause || (p->first && now - p->checked_ms < 2 * SAME_BUSY_MS))
                return;
        p->verify = true;
        sw__kafka_assign(s, number);
}

void sw__kafka_same_tick(struct sw_source_kafka *s)
{
        int64_t now = sw_clock_mono().ms;
        int32_t i;

        for (i = 0; i < s->n_partitions && !s->failing && !s->stopped; i++)
                same_look(s, i, now);
}
