/* SPDX-License-Identifier: Apache-2.0 */
#include "state/offsets.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/jsonw.h"

#include <string.h>

#define OFFSETS_VERSION 1

void sw_offsets_deinit(struct sw_offsets *o)
{
        uint32_t i;

        for (i = 0; i < o->n; i++) {
                sw_free(o->items[i].source);
                sw_free(o->items[i].topic);
        }
        sw_free(o->items);
        *o = SW_OFFSETS_NULL;
}

static struct sw_offset *offsets_find(const struct sw_offsets *o, const struct sw_offset_key *key)
{
        uint32_t i;

        for (i = 0; i < o->n; i++)
                if (o->items[i].partition == key->partition && strcmp(o->items[i].source, key->source) == 0 &&
                        strcmp(o->items[i].topic, key->topic) == 0)
                        return &o->items[i];
        return NULL;
}

const struct sw_offset *sw_offsets_get(const struct sw_offsets *o, const struct sw_offset_key *key)
{
        return offsets_find(o, key);
}

static struct sw_offset *offsets_add(struct sw_offsets *o, const struct sw_offset_key *key)
{
        uint32_t cap = o->cap ? 2 * o->cap : 16;
        struct sw_offset *items, *at;

        if (o->n == o->cap) {
                items = sw_realloc_array(o->items, cap, sizeof(*items));
                if (!items)
                        return NULL;
                o->items = items;
                o->cap = cap;
        }
        at = &o->items[o->n];
        *at = (struct sw_offset){ .source = sw_strdup(key->source), .topic = sw_strdup(key->topic) };
        if (!at->source || !at->topic) {
                sw_free(at->source);
                sw_free(at->topic);
                return NULL;
        }
        at->partition = key->partition;
        o->n++;
        return at;
}

int sw_offsets_set(struct sw_offsets *o, const struct sw_offset_key *key, uint64_t inode, int64_t next)
{
        struct sw_offset *at = offsets_find(o, key);

        if (!at)
                at = offsets_add(o, key);
        if (!at)
                return -SW_ERR_NOMEM;
        at->inode = inode;
        at->next = next;
        return 0;
}

static int offsets_parse_row(const struct sw_json *j, struct sw_offsets *o)
{
        struct sw_offset_key key = { .source = sw_json_str(sw_json_get(j, "source")).p,
                .topic = sw_json_str(sw_json_get(j, "topic")).p };
        int64_t partition, next, inode = 0;

        if (!key.source || !key.topic || !sw_json_i64(sw_json_get(j, "partition"), &partition) || partition < 0 ||
                partition > INT32_MAX || !sw_json_i64(sw_json_get(j, "next"), &next) || next < 0)
                return -SW_ERR_DATA;
        (void)sw_json_i64(sw_json_get(j, "inode"), &inode);
        key.partition = (int32_t)partition;
        return sw_offsets_set(o, &key, (uint64_t)inode, next);
}

int sw_offsets_parse(struct sw_str text, struct sw_offsets *o)
{
        struct sw_json *j = sw_json_parse(text);
        const struct sw_json *i;
        int64_t version;
        int r = 0;

        if (!sw_json_i64(sw_json_get(j, "version"), &version) || version != OFFSETS_VERSION)
                r = -SW_ERR_DATA;
        for (i = r == 0 ? sw_json_first(sw_json_get(j, "offsets")) : NULL; i && r == 0; i = sw_json_next(i))
                r = offsets_parse_row(i, o);
        sw_json_free(j);
        if (r < 0)
                sw_offsets_deinit(o);
        return r;
}

void sw_offsets_print(const struct sw_offsets *o, struct sw_buf *out)
{
        struct sw_jsonw w = sw_jsonw_start(out);
        uint32_t i;

        sw_jsonw_object(&w);
        sw_jsonw_ki64(&w, "version", OFFSETS_VERSION);
        sw_jsonw_key(&w, "offsets");
        sw_jsonw_array(&w);
        for (i = 0; i < o->n; i++) {
                const struct sw_offset *at = &o->items[i];

                sw_jsonw_object(&w);
                sw_jsonw_ktext(&w, "source", at->source);
                sw_jsonw_ktext(&w, "topic", at->topic);
                sw_jsonw_ki64(&w, "partition", at->partition);
                sw_jsonw_ki64(&w, "next", at->next);
                if (at->inode)
                        sw_jsonw_ku64(&w, "inode", at->inode);
                sw_jsonw_end_object(&w);
        }
        sw_jsonw_end_array(&w);
        sw_jsonw_end_object(&w);
        sw_buf_putc(out, '\n');
}
