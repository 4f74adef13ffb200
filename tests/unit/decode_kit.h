/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages and decoding for the tests of lib/decode. Every message is decoded twice, fast and by the reference. */
#include "decode/decoder.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Single quotes become double ones, so that JSON can be read in C. */
static inline struct sw_str kit_json(const char *z, char *buf, size_t size)
{
        size_t i, n = strlen(z);

        cr_assert_lt(n, size);
        for (i = 0; i < n; i++)
                buf[i] = z[i] == '\'' ? '"' : z[i];
        return (struct sw_str){ buf, n };
}

/* Copies z with every '@' replaced. */
static inline const char *kit_expand(const char *z, const char *with, char *buf, size_t size)
{
        size_t n = 0;

        for (; *z; z++) {
                size_t k = *z == '@' ? strlen(with) : 1;

                cr_assert_lt(n + k, size);
                memcpy(buf + n, *z == '@' ? with : z, k);
                n += k;
        }
        buf[n] = '\0';
        return buf;
}

struct kit {
        struct sw_decoder *decoder;
        struct sw_batch b;
        char text[65536];
};

static inline void kit_init(struct kit *k, bool reference)
{
        struct sw_decoder_conf conf = { .message_max_bytes = 4 * 1024 * 1024, .seed = 7, .reference_only = reference };

        k->b = SW_BATCH_NULL;
        cr_assert_eq(sw_decoder_new(&conf, &k->decoder), 0);
}

static inline void kit_deinit(struct kit *k)
{
        k->decoder = sw_decoder_free(k->decoder);
        sw_batch_deinit(&k->b);
}

static inline void kit_bytes(struct kit *k, struct sw_str s)
{
        sw_batch_reset(&k->b);
        cr_assert_eq(sw_decode(k->decoder, s, SW_DECODE_MESSAGE, 0, &k->b), 0);
}

static inline void kit_decode(struct kit *k, const char *z)
{
        kit_bytes(k, kit_json(z, k->text, sizeof(k->text)));
}

/* Runs a body with k as both decoders in turn. */
#define KIT_BOTH(k)                                                                                                    \
        for (unsigned kit_mode_ = 0; kit_mode_ < 2 && (kit_init(&(k), kit_mode_ == 1), true);                          \
                kit_deinit(&(k)), kit_mode_++)

#define VNET_HEAD                                                                                                      \
        "'time':'2024-12-12T04:00:53.1234567Z','flowLogVersion':4,'flowLogGUID':'g','macAddress':'00-22-48-7b-C2-05'," \
        "'category':'FlowLogFlowEvent','flowLogResourceID':'/SUB/FL','targetResourceID':'/sub/vnet',"
#define VNET(tuples)                                                                                                   \
        "{" VNET_HEAD                                                                                                  \
        "'flowRecords':{'flows':[{'aclID':'/nsg','flowGroups':[{'rule':'UserRule_x','flowTuples':[" tuples "]}]}]}}"
#define NSG(version, tuples)                                                                                           \
        "{'time':'2024-08-19T18:00:06.8944384Z','systemId':'s','category':'NetworkSecurityGroupFlowEvent',"            \
        "'resourceId':'/NSG','operationName':'NetworkSecurityGroupFlowEvents','properties':{'Version':" version        \
        ",'flows':[{'rule':'UserRule_y','flows':[{'mac':'6045BDEC2532','flowTuples':[" tuples "]}]}]}}"
