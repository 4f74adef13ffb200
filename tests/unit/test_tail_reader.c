/* SPDX-License-Identifier: Apache-2.0 */
#include "source/tail_reader.h"

#include "decode/decoder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char folder[64], path[80], old_path[80];

static void set_up(void)
{
        (void)snprintf(folder, sizeof(folder), "/tmp/segwatch-tail-XXXXXX");
        cr_assert_not_null(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/f", folder);
        (void)snprintf(old_path, sizeof(old_path), "%s/f.1", folder);
}

static void tear_down(void)
{
        (void)unlink(path);
        (void)unlink(old_path);
        (void)rmdir(folder);
}

static void append(const char *where, const char *text)
{
        FILE *f = fopen(where, "ab");

        cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static uint64_t inode_of(const char *where)
{
        struct stat st;

        cr_assert_eq(stat(where, &st), 0);
        return st.st_ino;
}

static struct sw_tail_reader *reader(bool follow, uint64_t inode, int64_t next)
{
        const struct sw_tail_conf conf = { .path = path, .follow = follow, .inode = inode, .next = next };
        struct sw_tail_reader *r = NULL;

        cr_assert_eq(sw_tail_reader_new(&conf, &r), 0);
        return r;
}

/* One step that succeeds; its bytes are text, in pieces that follow one another from `position` on. */
static struct sw_tail_step step(struct sw_tail_reader *r, const char *text, int64_t position)
{
        struct sw_buf b = SW_BUF_NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_tail_step s;
        const struct sw_tail_piece *p;

        cr_assert_eq(sw_tail_reader_step(r, &s, &err), 0, "%s", err.msg);
        for (p = s.first; p; p = p->next) {
                cr_assert_eq(p->position, position + (int64_t)b.n, "%lld", (long long)p->position);
                cr_assert_eq(p->end, p->position + (int64_t)p->n);
                sw_buf_put(&b, p->bytes, p->n);
        }
        sw_buf_putc(&b, '\0');
        cr_assert_str_eq(b.p, text);
        sw_buf_deinit(&b);
        sw_tail_step_free(&s);
        return s;
}

TestSuite(tail_reader, .init = set_up, .fini = tear_down);

Test(tail_reader, a_file_that_is_not_followed_has_an_end)
{
        struct sw_tail_reader *r = reader(false, 0, 0);
        struct sw_tail_step s;

        append(path, "{\"a\":1}\n{\"b\":");
        s = step(r, "{\"a\":1}\n{\"b\":", 0);
        cr_assert(s.at_end && s.ended && s.begin.happened && s.begin.position == 0);
        cr_assert_eq(s.begin.inode, inode_of(path));
        cr_assert_eq(s.next, 13);
        append(path, "2}\n");
        s = step(r, "", 0);
        cr_assert(s.at_end && s.ended && !s.begin.happened);
        sw_tail_reader_free(r);
}

Test(tail_reader, an_incomplete_line_waits_for_its_rest)
{
        struct sw_tail_reader *r = reader(true, 0, 0);
        struct sw_tail_step s;

        append(path, "{\"a\":1}\n{\"b\":");
        s = step(r, "{\"a\":1}\n", 0);
        cr_assert(s.at_end && !s.ended && s.left == 0);
        (void)step(r, "", 0);
        append(path, "2}\n{\"c\":3}\n");
        (void)step(r, "{\"b\":2}\n{\"c\":3}\n", 8);
        append(path, "{\"d\":4}"); /* whole without its line end */
        (void)step(r, "{\"d\":4}", 24);
        append(path, "\n{}\n");
        (void)step(r, "{}\n", 32);
        sw_tail_reader_free(r);
}

Test(tail_reader, a_renamed_file_is_read_to_its_end_before_the_new_one)
{
        struct sw_tail_reader *r = reader(true, 0, 0);
        struct sw_tail_step s;

        append(path, "{\"a\":1}\n");
        (void)step(r, "{\"a\":1}\n", 0);
        cr_assert_eq(rename(path, old_path), 0);
        s = step(r, "", 0);
        cr_assert(s.at_end && !s.event);
        append(path, "{\"n\":1}\n");
        append(old_path, "{\"b\":2}\n{\"c\""); /* its writer goes on for a while */
        (void)step(r, "{\"b\":2}\n", 8);
        s = step(r, "", 0);
        cr_assert(s.at_end && !s.event);
        s = step(r, "{\"c\"", 16); /* never completed: the decoder counts it */
        cr_assert_str_eq(s.event, "tail_rotated");
        cr_assert(!s.at_end && !s.begin.happened);
        s = step(r, "{\"n\":1}\n", 20);
        cr_assert(s.begin.happened && !s.begin.gone);
        cr_assert_eq(s.begin.position, 20);
        cr_assert_eq(s.begin.inode, inode_of(path));
        sw_tail_reader_free(r);
}

Test(tail_reader, a_file_that_was_cut_off_is_read_from_its_start)
{
        struct sw_tail_reader *r = reader(true, 0, 0);
        struct sw_tail_step s;

        append(path, "{\"a\":1}\n{\"b\":2");
        (void)step(r, "{\"a\":1}\n", 0);
        cr_assert_eq(truncate(path, 0), 0);
        s = step(r, "", 0);
        cr_assert(s.warning && s.begin.happened && s.begin.gone);
        cr_assert_str_eq(s.event, "tail_cut_off");
        cr_assert_eq(s.begin.position, 14);
        append(path, "{\"c\":3}\n");
        (void)step(r, "{\"c\":3}\n", 14);
        sw_tail_reader_free(r);
}

Test(tail_reader, goes_on_where_it_was)
{
        struct sw_tail_reader *r;
        struct sw_tail_step s;

        append(path, "{\"a\":1}\n{\"b\":2}\n");
        r = reader(true, inode_of(path), 8);
        s = step(r, "{\"b\":2}\n", 8);
        cr_assert(!s.event && s.begin.position == 0);
        sw_tail_reader_free(r);

        r = reader(true, inode_of(path), 17);
        s = step(r, "{\"a\":1}\n{\"b\":2}\n", 0);
        cr_assert_str_eq(s.event, "tail_restart");
        sw_tail_reader_free(r);

        r = reader(true, inode_of(path) + 1, 8);
        s = step(r, "{\"a\":1}\n{\"b\":2}\n", 0);
        cr_assert_str_eq(s.event, "tail_restart");
        sw_tail_reader_free(r);
}

Test(tail_reader, what_was_renamed_meanwhile_is_read_first_if_the_file_is_followed)
{
        struct sw_tail_reader *r;
        struct sw_tail_step s;

        append(old_path, "{\"a\":1}\n{\"b\":2}\n");
        append(path, "{\"n\":1}\n");
        r = reader(true, inode_of(old_path), 8);
        s = step(r, "{\"b\":2}\n", 8);
        cr_assert_str_eq(s.event, "tail_moved");
        cr_assert_eq(s.begin.inode, inode_of(old_path));
        (void)step(r, "", 0);
        (void)step(r, "", 0);
        s = step(r, "{\"n\":1}\n", 16);
        cr_assert_eq(s.begin.position, 16);
        sw_tail_reader_free(r);

        r = reader(false, inode_of(old_path), 8);
        s = step(r, "{\"n\":1}\n", 0);
        cr_assert_str_eq(s.event, "tail_restart");
        sw_tail_reader_free(r);
}

static void write_gzip(const char *text, size_t cut)
{
        char data[256];
        size_t n;
        FILE *f;
        gzFile gz = gzopen(path, "wb");

        cr_assert(gz && gzputs(gz, text) > 0 && gzclose(gz) == Z_OK);
        f = fopen(path, "rb");
        cr_assert_not_null(f);
        n = fread(data, 1, sizeof(data), f);
        fclose(f);
        cr_assert_gt(n, cut);
        cr_assert_eq(truncate(path, (off_t)(n - cut)), 0);
}

Test(tail_reader, gzip_positions_count_inflated_bytes)
{
        struct sw_tail_reader *r;
        struct sw_tail_step s;

        write_gzip("{\"a\":1}\n{\"b\":2}\n", 0);
        r = reader(false, 0, 0);
        s = step(r, "{\"a\":1}\n{\"b\":2}\n", 0);
        cr_assert(s.ended && s.next == 16 && s.left == 0);
        sw_tail_reader_free(r);

        r = reader(false, inode_of(path), 8);
        s = step(r, "{\"b\":2}\n", 8);
        cr_assert(s.ended);
        sw_tail_reader_free(r);

        r = reader(false, inode_of(path), 16);
        s = step(r, "", 0);
        cr_assert(s.ended && !s.event);
        sw_tail_reader_free(r);

        r = reader(false, inode_of(path), 17);
        s = step(r, "", 0);
        cr_assert_str_eq(s.event, "tail_restart");
        cr_assert(!s.ended && s.begin.gone);
        (void)step(r, "{\"a\":1}\n{\"b\":2}\n", 0);
        sw_tail_reader_free(r);
}

Test(tail_reader, gzip_that_is_damaged_brings_what_came_before)
{
        struct sw_tail_reader *r;
        struct sw_err err = SW_ERR_NULL;
        struct sw_tail_step s;

        write_gzip("{\"a\":1}\n{\"b\":2}\n", 4);
        r = reader(false, 0, 0);
        cr_assert_eq(sw_tail_reader_step(r, &s, &err), -SW_ERR_DATA);
        cr_assert(s.ended && s.first && s.first->n == 16);
        cr_assert_not_null(strstr(err.msg, "damaged or cut off"));
        sw_tail_step_free(&s);
        (void)step(r, "", 0);
        sw_tail_reader_free(r);
}

Test(tail_reader, what_cannot_be_read_says_why_and_is_tried_again)
{
        struct sw_tail_reader *r = reader(true, 0, 0);
        struct sw_err err = SW_ERR_NULL;
        struct sw_tail_step s;

        cr_assert_eq(sw_tail_reader_step(r, &s, &err), -SW_ERR_NOENT);
        cr_assert(!s.at_end && !s.first);
        cr_assert_eq(mkfifo(path, 0600), 0);
        cr_assert_eq(sw_tail_reader_step(r, &s, &err), -SW_ERR_IO);
        cr_assert_not_null(strstr(err.msg, "not a regular file"));
        cr_assert_eq(unlink(path), 0);
        write_gzip("{}\n", 0);
        cr_assert_eq(sw_tail_reader_step(r, &s, &err), -SW_ERR_IO);
        cr_assert_not_null(strstr(err.msg, "cannot be followed"));
        cr_assert_eq(unlink(path), 0);
        append(path, "{}\n");
        (void)step(r, "{}\n", 0);
        sw_tail_reader_free(r);
}

Test(tail_reader, a_large_file_comes_in_steps)
{
        struct sw_tail_reader *r = reader(false, 0, 0);
        struct sw_err err = SW_ERR_NULL;
        struct sw_tail_step s;
        uint64_t bytes = 0;
        unsigned n = 0;
        FILE *f = fopen(path, "wb");
        int i;

        cr_assert_not_null(f);
        for (i = 0; i < 400000; i++)
                (void)fputs("{\"a\":1}\n", f);
        fclose(f);
        do {
                cr_assert_eq(sw_tail_reader_step(r, &s, &err), 0);
                for (struct sw_tail_piece *p = s.first; p; p = p->next)
                        bytes += p->n;
                if (!s.ended)
                        cr_assert_leq(s.left, 3200000 - bytes);
                sw_tail_step_free(&s);
                n++;
        } while (!s.ended);
        cr_assert_eq(bytes, 3200000);
        cr_assert_geq(n, 3);
        sw_tail_reader_free(r);
}

/* Steps until nothing comes any more; what came, as one text. */
static struct sw_buf all_steps(struct sw_tail_reader *r, uint64_t *ret_inode)
{
        struct sw_buf b = SW_BUF_NULL;
        struct sw_tail_step s;
        int i;

        for (i = 0; i < 6; i++) {
                cr_assert_eq(sw_tail_reader_step(r, &s, NULL), 0);
                for (const struct sw_tail_piece *p = s.first; p; p = p->next) {
                        sw_buf_put(&b, p->bytes, p->n);
                        *ret_inode = p->inode;
                }
                sw_tail_step_free(&s);
        }
        sw_buf_putc(&b, '\0');
        return b;
}

Test(tail_reader, a_limit_ends_a_piece_and_another_file_waits, .init = set_up, .fini = tear_down)
{
        struct sw_tail_reader *r = reader(true, 0, 0);
        struct sw_tail_limit limit = { .set = true };
        struct sw_buf b;
        uint64_t old, new, seen = 0;

        append(path, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        limit.inode = limit.from_inode = old = inode_of(path);
        limit.until = 16;
        sw_tail_reader_limit(r, &limit);
        b = all_steps(r, &seen);
        cr_assert_str_eq(b.p, "{\"a\":1}\n{\"a\":2}\n", "%s", b.p);
        sw_buf_deinit(&b);
        /* the rest of this file and the first record of the next one */
        cr_assert_eq(rename(path, old_path), 0);
        append(path, "{\"b\":1}\n{\"b\":2}\n");
        new = inode_of(path);
        limit = (struct sw_tail_limit){ .set = true, .inode = new, .until = 8, .from_inode = old };
        sw_tail_reader_limit(r, &limit);
        b = all_steps(r, &seen);
        cr_assert_str_eq(b.p, "{\"a\":3}\n{\"b\":1}\n", "%s", b.p);
        cr_assert_eq(seen, new);
        sw_buf_deinit(&b);
        /* a file that nobody meant */
        limit = (struct sw_tail_limit){ .set = true, .inode = 1, .until = 8, .from_inode = 2 };
        sw_tail_reader_limit(r, &limit);
        b = all_steps(r, &seen);
        cr_assert_str_eq(b.p, "");
        sw_buf_deinit(&b);
        limit.set = false;
        sw_tail_reader_limit(r, &limit);
        b = all_steps(r, &seen);
        cr_assert_str_eq(b.p, "{\"b\":2}\n");
        sw_buf_deinit(&b);
        sw_tail_reader_free(r);
}
