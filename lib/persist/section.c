/* SPDX-License-Identifier: Apache-2.0 */
#include "persist/section.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <string.h>

#define BYTE_ORDER_MARK UINT32_C(0x01020304)
#define STEP_BYTES ((size_t)1 << 20)

static const char magic[8] = { 's', 'e', 'g', 'w', 'a', 't', 'c', 'h' };

struct file_head {
        char magic[8];
        uint32_t format, order;
        uint64_t check;
};
_Static_assert(sizeof(struct file_head) == SW_FILE_HEAD, "as written");

struct section_head {
        char name[SW_SECTION_NAME];
        uint32_t version, zero;
        uint64_t n;
        uint64_t check;
};
_Static_assert(sizeof(struct section_head) == SW_SECTION_HEAD, "as written");

void sw_section_begin_file(struct sw_buf *out)
{
        struct file_head h = { .format = SW_STATE_FORMAT, .order = BYTE_ORDER_MARK };

        memcpy(h.magic, magic, sizeof(magic));
        h.check = sw_checksum(&h, offsetof(struct file_head, check), 0);
        sw_buf_put(out, &h, sizeof(h));
}

static struct section_head section_head(const char *name, uint32_t version, size_t n, uint64_t number)
{
        struct section_head h = { .version = version, .n = n };
        size_t len = strlen(name);

        memcpy(h.name, name, len < SW_SECTION_NAME ? len : SW_SECTION_NAME);
        h.check = sw_checksum(&h, offsetof(struct section_head, check), number);
        return h;
}

void sw_section_seal(unsigned char *p, const char *name, uint32_t version, size_t n, uint64_t number)
{
        struct section_head h = section_head(name, version, n, number);
        uint64_t check = sw_checksum(p + sizeof(h), n, number);

        memcpy(p, &h, sizeof(h));
        memcpy(p + sizeof(h) + n, &check, sizeof(check));
}

void sw_section_put(
        struct sw_buf *out, const char *name, uint32_t version, const struct sw_buf *payload, uint64_t number)
{
        struct section_head h = section_head(name, version, payload->n, number);
        uint64_t check = sw_checksum(payload->p, payload->n, number);

        out->failed = out->failed || payload->failed;
        sw_buf_put(out, &h, sizeof(h));
        sw_buf_put(out, payload->p, payload->n);
        sw_buf_put(out, &check, sizeof(check));
}

static int damaged(struct sw_err *reterr, const char *what, uint64_t number)
{
        return sw_err_set(
                reterr, -SW_ERR_DATA, "snapshot: section %llu is damaged: %s", (unsigned long long)number, what);
}

int sw_section_open(
        struct sw_section_reader *r, sw_section_source source, void *ctx, size_t max_bytes, struct sw_err *reterr)
{
        struct file_head h;
        size_t n = 0;
        int e;

        *r = (struct sw_section_reader){ .source = source, .ctx = ctx, .max_bytes = max_bytes };
        e = source(ctx, &h, sizeof(h), &n);
        if (e < 0)
                return sw_err_set(reterr, e, "snapshot: %s", sw_error_text(e));
        if (n != sizeof(h) || memcmp(h.magic, magic, sizeof(magic)) != 0)
                return sw_err_set(reterr, -SW_ERR_DATA, "snapshot: this is none, its first bytes are others");
        if (h.order != BYTE_ORDER_MARK)
                return sw_err_set(reterr, -SW_ERR_DATA, "snapshot: written on a machine of another byte order");
        if (h.check != sw_checksum(&h, offsetof(struct file_head, check), 0))
                return sw_err_set(reterr, -SW_ERR_DATA, "snapshot: its head is damaged");
        if (h.format > SW_STATE_FORMAT)
                return sw_err_set(reterr, -SW_ERR_VERSION,
                        "snapshot: written in format %u by a newer version; this one reads up to %u", h.format,
                        SW_STATE_FORMAT);
        return 0;
}

void sw_section_close(struct sw_section_reader *r)
{
        if (!r)
                return;
        sw_free(r->buf);
        r->buf = NULL;
        r->cap = 0;
}

static int read_payload(struct sw_section_reader *r, size_t n, struct sw_err *reterr)
{
        size_t have = 0, step, got;
        int e;

        while (have < n) {
                step = n - have < STEP_BYTES ? n - have : STEP_BYTES;
                if (r->cap < have + step) {
                        size_t cap = r->cap ? r->cap : STEP_BYTES / 4;
                        unsigned char *p;

                        while (cap < have + step)
                                cap *= 2;
                        p = sw_realloc_array(r->buf, cap, 1);
                        if (!p)
                                return sw_err_set(reterr, -SW_ERR_NOMEM, "%s", sw_error_text(-SW_ERR_NOMEM));
                        r->buf = p;
                        r->cap = cap;
                }
                e = r->source(r->ctx, r->buf + have, step, &got);
                if (e < 0)
                        return sw_err_set(reterr, e, "snapshot: %s", sw_error_text(e));
                if (got != step)
                        return damaged(reterr, "the file ends in it", r->number);
                have += step;
        }
        return 0;
}

int sw_section_next(struct sw_section_reader *r, struct sw_section *ret, struct sw_err *reterr)
{
        struct section_head h;
        uint64_t check;
        size_t n = 0;
        int e = r->source(r->ctx, &h, sizeof(h), &n);

        if (e < 0)
                return sw_err_set(reterr, e, "snapshot: %s", sw_error_text(e));
        if (n != sizeof(h))
                return damaged(reterr, "the file ends before it", r->number);
        if (h.zero || h.check != sw_checksum(&h, offsetof(struct section_head, check), r->number))
                return damaged(reterr, "its head does not match its checksum", r->number);
        if (h.n > r->max_bytes)
                return damaged(reterr, "it is larger than a section can be", r->number);
        e = read_payload(r, (size_t)h.n, reterr);
        if (e < 0)
                return e;
        e = r->source(r->ctx, &check, sizeof(check), &n);
        if (e < 0)
                return sw_err_set(reterr, e, "snapshot: %s", sw_error_text(e));
        if (n != sizeof(check) || check != sw_checksum(r->buf, (size_t)h.n, r->number))
                return damaged(reterr, "its content does not match its checksum", r->number);
        *ret = (struct sw_section){ .version = h.version, .p = r->buf, .n = (size_t)h.n };
        memcpy(ret->name, h.name, SW_SECTION_NAME);
        r->number++;
        if (strcmp(ret->name, "end") == 0) {
                r->ended = true;
                e = r->source(r->ctx, &check, 1, &n);
                if (e == 0 && n)
                        return sw_err_set(reterr, -SW_ERR_DATA, "snapshot: something follows its end");
        }
        return e < 0 ? sw_err_set(reterr, e, "snapshot: %s", sw_error_text(e)) : 0;
}
