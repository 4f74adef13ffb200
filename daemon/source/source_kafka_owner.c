/* SPDX-License-Identifier: Apache-2.0 */
/* What the consumer group is told: how far we are, for lag tools, and who we are, so that two instances with a state of
 * their own never work side by side. The claim rides in the metadata of each partition's commit. A claim has a term,
 * one more than the highest that was seen: who sees a higher one than its own has been taken over. */
#include "base/alloc.h"
#include "clock.h"
#include "source/source_kafka_int.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OWNER_CLAIM_MS 20000   /* a claim is renewed this often, */
#define OWNER_ACTIVE_MS 120000 /* and holds for so long */
#define OWNER_TEXT 512
#define OWNER_LEAVE_MS 1000

struct owner_claim {
        char id[40], host[80];
        unsigned long long term;
        long long pid, at;
        bool left;
};

static bool owner_parse(const rd_kafka_topic_partition_t *e, struct owner_claim *ret)
{
        char text[OWNER_TEXT], state[12] = "";
        size_t n = e->metadata_size < sizeof(text) - 1 ? e->metadata_size : sizeof(text) - 1;
        int fields;

        if (!e->metadata || n == 0)
                return false;
        memcpy(text, e->metadata, n);
        text[n] = '\0';
        *ret = (struct owner_claim){ 0 };
        fields = sscanf(text, "segwatch id=%39s term=%llu host=%79s pid=%lld at=%lld %11s", ret->id, &ret->term,
                ret->host, &ret->pid, &ret->at, state);
        ret->left = strcmp(state, "left") == 0;
        /* whoever may commit may write anything: numbers that are calculated with later have to make sense */
        return fields >= 5 && ret->term < UINT32_MAX && ret->at >= SW_ETIME_MIN_MS && ret->at <= SW_ETIME_MAX_MS;
}

static void owner_print(const struct sw_source_kafka *s, bool leaving, char ret[OWNER_TEXT])
{
        char host[HOST_NAME_MAX + 1] = "unknown";

        (void)gethostname(host, sizeof(host));
        host[sizeof(host) - 1] = '\0';
        snprintf(ret, OWNER_TEXT, "segwatch id=%.32s term=%llu host=%.78s pid=%d at=%lld %s", s->owner.instance,
                (unsigned long long)s->owner.term, *host ? host : "unknown", (int)getpid(),
                (long long)sw_clock_wall().ms, leaving ? "left" : "active");
}

static void owner_tell(struct sw_source_kafka *s, const struct owner_claim *c, bool taken)
{
        char text[OWNER_TEXT + 256];

        snprintf(text, sizeof(text),
                taken ? "the topic %s was taken over by the instance on %s (process id %lld)"
                      : "another instance reads the topic %s under this consumer group: on %s, process id %lld, last "
                        "heard of %lld s ago; stop it first (a dead one is forgotten after 2 minutes), give each its "
                        "own `group:`, or start with --take-over",
                s->topic, c->host, c->pid, (long long)(sw_clock_wall().ms - c->at) / 1000);
        s->hooks.on_owner(s->hooks.ctx, text);
}

bool sw__kafka_owner_check(struct sw_source_kafka *s)
{
        struct owner_claim c, newest = { 0 };
        uint64_t highest = 0;
        int64_t age;
        int i;

        if (!s->owner.instance || !s->hooks.on_owner || !s->ask.group)
                return true;
        for (i = 0; i < s->ask.group->cnt; i++) {
                if (!owner_parse(&s->ask.group->elems[i], &c))
                        continue;
                if (c.term > highest)
                        highest = c.term;
                if (strncmp(c.id, s->owner.instance, 32) != 0 && c.term >= newest.term && c.at >= newest.at)
                        newest = c;
        }
        age = sw_clock_wall().ms - newest.at;
        if (*newest.id && !newest.left && newest.term > s->owner.term && s->owner.term > 0) {
                owner_tell(s, &newest, true);
                return false;
        }
        /* both began at the same time: one of them leaves */
        if (*newest.id && !newest.left && newest.term == s->owner.term && strcmp(newest.id, s->owner.instance) > 0) {
                owner_tell(s, &newest, true);
                return false;
        }
        if (s->owner.checked)
                return true;
        if (*newest.id && !newest.left && age < OWNER_ACTIVE_MS && age > -OWNER_ACTIVE_MS && newest.term >= highest &&
                !s->owner.take_over) {
                owner_tell(s, &newest, false);
                return false;
        }
        s->owner.checked = true;
        s->owner.term = highest + 1;
        s->owner.next_claim_ms = 0;
        return true;
}

static rd_kafka_topic_partition_list_t *owner_list(
        struct sw_source_kafka *s, const uint32_t *ids, const int64_t *next, uint32_t n)
{
        rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new((int)n + 1);
        int32_t number;
        uint32_t i;

        for (i = 0; i < n; i++)
                if (next[i] >= 0 && sw__kafka_find(s, ids[i], &number)) {
                        rd_kafka_topic_partition_list_add(l, s->topic, number)->offset = next[i];
                        s->partitions[number].committed = next[i];
                }
        return l;
}

static void owner_sign(const struct sw_source_kafka *s, rd_kafka_topic_partition_list_t *l, bool leaving)
{
        char text[OWNER_TEXT];
        int i;

        if (!s->owner.instance || s->owner.term == 0)
                return;
        owner_print(s, leaving, text);
        for (i = 0; i < l->cnt; i++) {
                l->elems[i].metadata = strdup(text); /* librdkafka frees it */
                l->elems[i].metadata_size = l->elems[i].metadata ? strlen(text) : 0;
        }
}

/* What the group knows already, said again with a new claim; of a partition that has no offset there yet: where it
 * begins. */
void sw__kafka_owner_tick(struct sw_source_kafka *s)
{
        int64_t now = sw_clock_mono().ms;
        rd_kafka_topic_partition_list_t *l;
        int32_t i;

        if (!s->owner.instance || s->owner.term == 0 || now < s->owner.next_claim_ms || s->n_partitions == 0 ||
                s->failing)
                return;
        s->owner.next_claim_ms = now + OWNER_CLAIM_MS;
        l = rd_kafka_topic_partition_list_new(s->n_partitions);
        for (i = 0; i < s->n_partitions; i++)
                if (s->partitions[i].known)
                        rd_kafka_topic_partition_list_add(l, s->topic, i)->offset = s->partitions[i].committed;
        owner_sign(s, l, false);
        if (l->cnt > 0)
                (void)rd_kafka_commit(s->rk, l, 1);
        rd_kafka_topic_partition_list_destroy(l);
}

/* Not librdkafka's waiting commit: that waits as long as a broker that is gone. */
static void owner_wait(struct sw_source_kafka *s, rd_kafka_topic_partition_list_t *l)
{
        rd_kafka_queue_t *q = rd_kafka_queue_new(s->rk);
        rd_kafka_event_t *ev;

        if (rd_kafka_commit_queue(s->rk, l, q, NULL, NULL) == RD_KAFKA_RESP_ERR_NO_ERROR) {
                ev = rd_kafka_queue_poll(q, OWNER_LEAVE_MS);
                if (ev)
                        rd_kafka_event_destroy(ev);
        }
        rd_kafka_queue_destroy(q);
}

void sw_source_kafka_commit(
        struct sw_source_kafka *s, const uint32_t *ids, const int64_t *next, uint32_t n, bool leaving)
{
        rd_kafka_topic_partition_list_t *l;

        if (s->owner.instance && s->owner.term == 0)
                return; /* it may be somebody else's */
        if (s->failing)
                return; /* librdkafka would keep it for 45 s, and destroying its client would wait that long */
        l = owner_list(s, ids, next, n);
        owner_sign(s, l, leaving);
        s->owner.next_claim_ms = sw_clock_mono().ms + OWNER_CLAIM_MS;
        if (l->cnt > 0 && leaving)
                owner_wait(s, l);
        else if (l->cnt > 0)
                (void)rd_kafka_commit(s->rk, l, 1);
        rd_kafka_topic_partition_list_destroy(l);
}
