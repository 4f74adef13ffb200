/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source_kafka_int.h"

#include <string.h>

#define ASK_TIMEOUT_MS 3000 /* stopping waits for it */
#define ASK_LATEST (-1)     /* of the ListOffsets request */
#define ASK_EARLIEST (-2)

void sw__kafka_ask_reset(struct sw__kafka_ask *ask)
{
        rd_kafka_topic_partition_list_t **lists[] = { &ask->list, &ask->low, &ask->high, &ask->group, &ask->at_time,
                &ask->after };
        size_t i;

        for (i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
                if (*lists[i])
                        rd_kafka_topic_partition_list_destroy(*lists[i]);
                *lists[i] = NULL;
        }
        ask->metadata = ask->committed = false;
        ask->start_time = SW_ETIME_NONE;
        ask->err = RD_KAFKA_RESP_ERR_NO_ERROR;
        ask->n_partitions = -1;
}

int64_t sw__kafka_ask_offset(const rd_kafka_topic_partition_list_t *list, const char *topic, int32_t partition)
{
        int i;

        for (i = 0; list && i < list->cnt; i++)
                if (list->elems[i].partition == partition && strcmp(list->elems[i].topic, topic) == 0)
                        return list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset >= 0
                                       ? list->elems[i].offset
                                       : -1;
        return -1;
}

/* How many partitions the topic has; the new ones join the list. */
static void ask_metadata(struct sw__kafka_ask *ask)
{
        const struct rd_kafka_metadata *md = NULL;
        int32_t i;

        ask->err = rd_kafka_metadata(ask->rk, 0, ask->topic, &md, ASK_TIMEOUT_MS);
        if (ask->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                return;
        if (md->topic_cnt != 1)
                ask->err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        else
                ask->err = md->topics[0].err;
        if (ask->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                ask->n_partitions = md->topics[0].partition_cnt;
                for (i = ask->first_new; i < ask->n_partitions; i++)
                        rd_kafka_topic_partition_list_add(ask->list, rd_kafka_topic_name(ask->topic), i);
        }
        rd_kafka_metadata_destroy(md);
}

/* A copy of the list with the offsets at `when`: ASK_EARLIEST, ASK_LATEST or a time stamp. */
static rd_kafka_topic_partition_list_t *ask_offsets(struct sw__kafka_ask *ask, int64_t when)
{
        rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_copy(ask->list);
        rd_kafka_resp_err_t err;
        int i;

        for (i = 0; i < l->cnt; i++)
                l->elems[i].offset = when;
        err = rd_kafka_offsets_for_times(ask->rk, l, ASK_TIMEOUT_MS);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
                ask->err = err;
                rd_kafka_topic_partition_list_destroy(l);
                return NULL;
        }
        return l;
}

static bool ask_goes_on(const struct sw__kafka_ask *ask)
{
        return ask->err == RD_KAFKA_RESP_ERR_NO_ERROR && ask->list->cnt > 0 && !atomic_load(ask->stop);
}

void sw__kafka_ask_run(void *arg)
{
        struct sw__kafka_ask *ask = arg;
        rd_kafka_resp_err_t err;

        if (ask->metadata)
                ask_metadata(ask);
        if (ask_goes_on(ask))
                ask->high = ask_offsets(ask, ASK_LATEST);
        if (ask_goes_on(ask))
                ask->low = ask_offsets(ask, ASK_EARLIEST);
        if (ask_goes_on(ask) && !sw_etime_is_none(ask->start_time))
                ask->at_time = ask_offsets(ask, ask->start_time.ms);
        /* without an answer nothing follows from it */
        if (ask_goes_on(ask) && ask->after &&
                rd_kafka_offsets_for_times(ask->rk, ask->after, ASK_TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
                rd_kafka_topic_partition_list_destroy(ask->after);
                ask->after = NULL;
        }
        if (ask_goes_on(ask) && ask->committed) {
                ask->group = rd_kafka_topic_partition_list_copy(ask->list);
                err = rd_kafka_committed(ask->rk, ask->group, ASK_TIMEOUT_MS);
                /* no right to read the group: `start` decides. Anything else passes: guessing could skip messages */
                if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
                        ask->err = err;
        }
}
