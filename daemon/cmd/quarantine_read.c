/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/quarantine_read.h"

#include "base/json.h"
#include "cmd/tail_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_ROTATED_MAX 1000u

struct quarantine_read {
        sw_quarantine_each each;
        void *ctx;
        uint64_t n_bad;
        struct sw_buf place;
};

static int64_t read_number(const struct sw_json *j, const char *key)
{
        int64_t v;

        return sw_json_i64(sw_json_get(j, key), &v) && v >= 0 ? v : -1;
}

static void read_place(struct quarantine_read *r, struct sw_quarantine_entry *e)
{
        size_t where;

        sw_buf_reset(&r->place);
        if (e->topic.p) {
                sw_buf_put_str(&r->place, e->source.p ? e->source : e->topic);
                sw_buf_printf(&r->place, ":%lld", (long long)e->partition);
                where = r->place.n;
                sw_buf_printf(&r->place, ":%lld", (long long)e->offset);
        } else {
                sw_buf_put_str(&r->place, e->file);
                where = r->place.n;
                sw_buf_printf(&r->place, ":%lld", (long long)e->byte);
        }
        e->place = (struct sw_str){ r->place.p, r->place.n };
        e->where = (struct sw_str){ r->place.p, where };
}

static int read_line(void *ctx, struct sw_str line)
{
        struct quarantine_read *r = ctx;
        struct sw_json *j;
        struct sw_quarantine_entry e;
        int ret = 0;

        if (line.n == 0)
                return 0;
        j = sw_json_parse(line);
        e = (struct sw_quarantine_entry){ .time = sw_json_str(sw_json_get(j, "time")),
                .source = sw_json_str(sw_json_get(j, "source")),
                .topic = sw_json_str(sw_json_get(j, "topic")),
                .file = sw_json_str(sw_json_get(j, "file")),
                .reason = sw_json_str(sw_json_get(j, "reason")),
                .text = sw_json_str(sw_json_get(j, "text")),
                .excerpt = sw_json_str(sw_json_get(j, "excerpt")),
                .message = sw_json_str(sw_json_get(j, "message_base64")),
                .partition = read_number(j, "partition"),
                .offset = read_number(j, "offset"),
                .byte = read_number(j, "byte"),
                .bytes = read_number(j, "bytes"),
                .whole = sw_json_kind(sw_json_get(j, "whole_message")) == SW_JSON_TRUE };
        if (e.reason.p && (e.topic.p || e.file.p)) {
                read_place(r, &e);
                ret = r->place.failed ? -SW_ERR_NOMEM : r->each(r->ctx, &e);
        } else
                r->n_bad++;
        sw_json_free(j);
        return ret;
}

static int read_file(struct quarantine_read *r, const char *path)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;
        int ret = sw_tail_file_open(&t, path, 0);

        if (ret == 0)
                ret = sw_tail_file_read(&t, true, read_line, r);
        sw_tail_file_close(&t);
        return ret;
}

static int read_stdin(struct quarantine_read *r)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;
        int ret;

        t.fd = dup(STDIN_FILENO);
        if (t.fd < 0)
                return -SW_ERR_IO;
        ret = sw_tail_file_read(&t, true, read_line, r);
        sw_tail_file_close(&t);
        return ret;
}

int sw_quarantine_read(const char *path, sw_quarantine_each each, void *ctx, uint64_t *ret_bad)
{
        struct quarantine_read r = { .each = each, .ctx = ctx };
        char name[PATH_MAX];
        unsigned n = 0;
        int ret = 0;

        if (strcmp(path, "-") == 0)
                ret = read_stdin(&r);
        else {
                while (n < READ_ROTATED_MAX && snprintf(name, sizeof(name), "%s.%u", path, n + 1) < (int)sizeof(name) &&
                        access(name, R_OK) == 0)
                        n++;
                for (; n > 0 && ret == 0; n--) {
                        (void)snprintf(name, sizeof(name), "%s.%u", path, n);
                        ret = read_file(&r, name);
                        if (ret == -SW_ERR_IO && errno == ENOENT)
                                ret = 0;
                }
                if (ret == 0)
                        ret = read_file(&r, path);
        }
        sw_buf_deinit(&r.place);
        *ret_bad = r.n_bad;
        return ret;
}
