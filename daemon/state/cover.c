/* SPDX-License-Identifier: Apache-2.0 */
#include "state/cover.h"

#include "base/alloc.h"
#include "base/jsonw.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COVER_VERSION 1

static void cover_time(struct sw_jsonw *w, const char *key, struct sw_etime t)
{
        if (!sw_etime_is_none(t))
                sw_jsonw_ki64(w, key, t.ms);
}

/* JSON numbers are exact to 2^53 only. */
static void cover_u64(struct sw_jsonw *w, const char *key, uint64_t v)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, v);
        if (v)
                sw_jsonw_ktext(w, key, text);
}

void sw_cover_print(const struct sw_outbox_release *r, struct sw_buf *out)
{
        struct sw_jsonw w = sw_jsonw_start(out);
        uint32_t i;

        sw_jsonw_object(&w);
        sw_jsonw_ki64(&w, "version", COVER_VERSION);
        cover_u64(&w, "number", r->number);
        cover_time(&w, "watermark", r->watermark);
        cover_time(&w, "wall", r->wall);
        sw_jsonw_kbool(&w, "cold", r->cold);
        sw_jsonw_ktext(&w, "conf", r->conf);
        sw_jsonw_key(&w, "places");
        sw_jsonw_array(&w);
        for (i = 0; i < r->n_offsets; i++) {
                const struct sw_outbox_offset *o = &r->offsets[i];

                sw_jsonw_object(&w);
                sw_jsonw_ktext(&w, "source", o->source);
                sw_jsonw_ktext(&w, "topic", o->topic);
                sw_jsonw_ki64(&w, "partition", o->partition);
                sw_jsonw_ki64(&w, "next", o->next);
                cover_u64(&w, "inode", o->inode);
                cover_time(&w, "stamp", o->stamp);
                cover_u64(&w, "hash", o->hash);
                sw_jsonw_end_object(&w);
        }
        sw_jsonw_end_array(&w);
        sw_jsonw_end_object(&w);
}

static struct sw_etime cover_get_time(const struct sw_json *j, const char *key)
{
        struct sw_etime t;

        return sw_json_i64(sw_json_get(j, key), &t.ms) ? t : SW_ETIME_NONE;
}

static uint64_t cover_get_u64(const struct sw_json *j, const char *key)
{
        struct sw_str s = sw_json_str(sw_json_get(j, key));
        uint64_t v = 0;

        return s.p && sw_parse_u64(s, &v) ? v : 0;
}

static bool cover_place(const struct sw_json *j, struct sw_outbox_offset *ret)
{
        struct sw_str source = sw_json_str(sw_json_get(j, "source")), topic = sw_json_str(sw_json_get(j, "topic"));
        int64_t partition, next;

        if (!source.p || !topic.p || !sw_json_i64(sw_json_get(j, "partition"), &partition) || partition < 0 ||
                partition > INT32_MAX || !sw_json_i64(sw_json_get(j, "next"), &next))
                return false;
        *ret = (struct sw_outbox_offset){ .source = source.p,
                .topic = topic.p,
                .partition = (int32_t)partition,
                .next = next,
                .inode = cover_get_u64(j, "inode"),
                .stamp = cover_get_time(j, "stamp"),
                .hash = cover_get_u64(j, "hash") };
        return true;
}

static int cover_places(const struct sw_json *list, struct sw_cover *c)
{
        const struct sw_json *i;
        uint32_t n = 0;

        for (i = sw_json_first(list); i; i = sw_json_next(i))
                n++;
        c->offsets = sw_calloc(n ? n : 1, sizeof(*c->offsets));
        if (!c->offsets)
                return -SW_ERR_NOMEM;
        c->release.offsets = c->offsets;
        for (i = sw_json_first(list); i; i = sw_json_next(i))
                if (!cover_place(i, &c->offsets[c->release.n_offsets++]))
                        return -SW_ERR_DATA;
        return 0;
}

int sw_cover_parse(struct sw_str text, struct sw_cover *ret)
{
        struct sw_cover c = { .json = sw_json_parse(text) };
        struct sw_str conf = sw_json_str(sw_json_get(c.json, "conf"));
        int64_t version;
        int r = -SW_ERR_DATA;

        if (c.json && sw_json_i64(sw_json_get(c.json, "version"), &version) && version == COVER_VERSION && conf.p &&
                conf.n < sizeof(c.release.conf)) {
                c.release.number = cover_get_u64(c.json, "number");
                c.release.watermark = cover_get_time(c.json, "watermark");
                c.release.wall = cover_get_time(c.json, "wall");
                c.release.cold = sw_json_kind(sw_json_get(c.json, "cold")) == SW_JSON_TRUE;
                memcpy(c.release.conf, conf.p, conf.n + 1);
                r = cover_places(sw_json_get(c.json, "places"), &c);
        }
        if (r < 0)
                sw_cover_deinit(&c);
        else
                *ret = c;
        return r;
}

void sw_cover_deinit(struct sw_cover *c)
{
        if (!c)
                return;
        sw_free(c->offsets);
        c->json = sw_json_free(c->json);
        *c = SW_COVER_NULL;
}
