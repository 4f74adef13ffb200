/* SPDX-License-Identifier: Apache-2.0 */
#include "model/flow.h"

#include <stdio.h>

#define MAX_EXCERPT_BYTES 256

static const char *const encryption_texts[] = {
#define SW_ENCRYPTION_TEXT(name, token, passed) [SW_ENCRYPTION_##name] = (token),
        SW_ENCRYPTION_MAP(SW_ENCRYPTION_TEXT)
#undef SW_ENCRYPTION_TEXT
};

bool sw_encryption_passed(enum sw_encryption e)
{
        static const bool passes[] = {
#define SW_ENCRYPTION_PASSED(name, token, passed) [SW_ENCRYPTION_##name] = (passed),
                SW_ENCRYPTION_MAP(SW_ENCRYPTION_PASSED)
#undef SW_ENCRYPTION_PASSED
        };

        return (unsigned)e >= SW_N_ENCRYPTIONS || passes[e];
}

const char *sw_encryption_text(enum sw_encryption e)
{
        return (unsigned)e < SW_N_ENCRYPTIONS ? encryption_texts[e] : "other";
}

enum sw_encryption sw_encryption_parse(struct sw_str token)
{
        unsigned e;

        for (e = 0; e < SW_ENCRYPTION_OTHER; e++)
                if (sw_str_eq(token, sw_str_of(encryption_texts[e])))
                        return (enum sw_encryption)e;
        return SW_ENCRYPTION_OTHER;
}

const char *sw_reason_name(enum sw_reason r)
{
        static const char *const names[] = { "json", "depth", "too_large", "gzip", "shape", "record", "tuple_fields",
                "tuple_time", "tuple_address", "tuple_port", "tuple_protocol", "tuple_state", "tuple_counter",
                "empty" };

        _Static_assert(sizeof(names) / sizeof(*names) == SW_N_REASONS, "one name per reason");
        return (unsigned)r < SW_N_REASONS ? names[r] : "unknown";
}

const char *sw_reason_text(enum sw_reason r)
{
        static const char *const texts[] = {
#define SW_REASON_TEXT(name, text) [SW_REASON_##name] = (text),
                SW_REASON_MAP(SW_REASON_TEXT)
#undef SW_REASON_TEXT
        };

        return (unsigned)r < SW_N_REASONS ? texts[r] : "unknown";
}

void sw_batch_reset(struct sw_batch *b)
{
        b->n_tuples = b->n_records = b->n_rules = b->n_errors = 0;
        b->stats = (struct sw_decode_stats){ 0 };
        b->newest = SW_ETIME_NONE;
        b->raw = SW_STR_NULL;
        sw_arena_reset(&b->arena);
}

void sw_batch_deinit(struct sw_batch *b)
{
        sw_free(b->tuples);
        sw_free(b->records);
        sw_free(b->rules);
        sw_arena_deinit(&b->arena);
        *b = SW_BATCH_NULL;
}

static void *add(void **items, uint32_t *n, uint32_t *cap, size_t size)
{
        if (*n == *cap) {
                uint32_t want = *cap ? *cap * 2 : 64;
                void *p = want > *cap ? sw_realloc_array(*items, want, size) : NULL;

                if (!p)
                        return NULL;
                *items = p;
                *cap = want;
        }
        return memset((unsigned char *)*items + size * (*n)++, 0, size);
}

struct sw_tuple *sw_batch_add_tuple(struct sw_batch *b)
{
        void *items = b->tuples;
        struct sw_tuple *t = add(&items, &b->n_tuples, &b->cap_tuples, sizeof(*t));

        b->tuples = items;
        return t;
}

struct sw_record *sw_batch_add_record(struct sw_batch *b)
{
        void *items = b->records;
        struct sw_record *r = add(&items, &b->n_records, &b->cap_records, sizeof(*r));

        b->records = items;
        if (r) {
                r->time = SW_ETIME_NONE;
                r->first_tuple = b->n_tuples;
        }
        return r;
}

struct sw_rule *sw_batch_add_rule(struct sw_batch *b)
{
        void *items = b->rules;
        struct sw_rule *r = add(&items, &b->n_rules, &b->cap_rules, sizeof(*r));

        b->rules = items;
        return r;
}

void sw_batch_add_error(
        struct sw_batch *b, enum sw_reason r, uint64_t offset, struct sw_str excerpt, bool whole_message)
{
        struct sw_decode_error *e;

        if (b->n_errors == SW_BATCH_MAX_ERRORS)
                return;
        if (excerpt.n > MAX_EXCERPT_BYTES)
                excerpt.n = MAX_EXCERPT_BYTES;
        e = &b->errors[b->n_errors++];
        *e = (struct sw_decode_error){ .reason = r, .offset = offset, .whole_message = whole_message };
        e->excerpt.p = excerpt.n ? sw_arena_copy(&b->arena, excerpt.p, excerpt.n) : NULL;
        e->excerpt.n = e->excerpt.p ? excerpt.n : 0;
}

uint64_t sw_mac_parse(struct sw_str s)
{
        uint64_t mac = 0;
        unsigned n = 0;
        size_t i;

        for (i = 0; i < s.n; i++) {
                char c = s.p[i];
                unsigned d;

                if (c == '-' || c == ':' || c == '.')
                        continue;
                if (c >= '0' && c <= '9')
                        d = (unsigned)(c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        d = (unsigned)((c | 0x20) - 'a') + 10;
                else
                        return 0;
                if (++n > 12)
                        return 0;
                mac = mac << 4 | d;
        }
        return n == 12 ? mac : 0;
}

char *sw_mac_format(uint64_t mac, char buf[SW_MAC_TEXT])
{
        (void)snprintf(buf, SW_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac >> 40 & 0xff),
                (unsigned)(mac >> 32 & 0xff), (unsigned)(mac >> 24 & 0xff), (unsigned)(mac >> 16 & 0xff),
                (unsigned)(mac >> 8 & 0xff), (unsigned)(mac & 0xff));
        return buf;
}
