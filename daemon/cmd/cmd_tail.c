/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/time.h"
#include "clock.h"
#include "cmd/args.h"
#include "cmd/finding_text.h"
#include "cmd/since.h"
#include "cmd/tail_file.h"
#include "conf.h"
#include "term.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_DEFAULT_LAST 10
#define TAIL_LAST_MAX 1000000
#define TAIL_POLL_US 250000
#define TAIL_BLOCK (4 * 1024 * 1024)

/* The last N lines that matched, oldest first from `next` on when full. */
struct tail_ring {
        char **lines;
        size_t *sizes;
        size_t n, cap, next;
};

struct tail {
        const char *file;
        bool follow, has_last;
        uint64_t last;
        struct sw_finding_filter filter;
        struct sw_finding_style style;
        struct tail_ring *ring; /* collect here; NULL: print */
        struct sw_buf out;
        uint64_t n_bad, n_findings; /* lines that were read */
        bool bad_told, header_done;
};

static int tail_ring_add(struct tail_ring *r, struct sw_str line)
{
        char *copy;

        if (r->cap == 0)
                return 0;
        copy = sw_alloc(line.n + 1);
        if (!copy)
                return -SW_ERR_NOMEM;
        memcpy(copy, line.p, line.n);
        sw_free(r->lines[r->next]);
        r->lines[r->next] = copy;
        r->sizes[r->next] = line.n;
        r->next = (r->next + 1) % r->cap;
        r->n += r->n < r->cap;
        return 0;
}

static int tail_ring_init(struct tail_ring *r, size_t cap)
{
        *r = (struct tail_ring){ .cap = cap };
        r->lines = sw_calloc(cap + 1, sizeof(*r->lines));
        r->sizes = sw_calloc(cap + 1, sizeof(*r->sizes));
        return r->lines && r->sizes ? 0 : -SW_ERR_NOMEM;
}

static void tail_ring_deinit(struct tail_ring *r)
{
        size_t i;

        for (i = 0; r->lines && i < r->cap; i++)
                sw_free(r->lines[i]);
        sw_free(r->lines);
        sw_free(r->sizes);
        *r = (struct tail_ring){ 0 };
}

/* stdout is flushed per batch of lines. -SW_ERR_UNAVAIL: it cannot be written, which was said. */
static int tail_flush(struct tail *t)
{
        if (t->out.failed)
                return -SW_ERR_NOMEM;
        if (t->out.n > 0 && (fwrite(t->out.p, 1, t->out.n, stdout) != t->out.n || fflush(stdout) != 0)) {
                fprintf(stderr, "segwatch tail: standard output: %s\n", strerror(errno));
                return -SW_ERR_UNAVAIL;
        }
        sw_buf_reset(&t->out);
        return 0;
}

static int tail_print(struct tail *t, struct sw_str line)
{
        if (!t->header_done)
                sw_finding_header(&t->out, &t->style);
        t->header_done = true;
        sw_finding_line(&t->out, line, &t->style);
        return t->out.n > 65536 ? tail_flush(t) : 0;
}

static void tail_tell_bad(struct tail *t)
{
        if (!t->bad_told)
                fprintf(stderr, "segwatch tail: skipping lines that are not findings\n");
        t->bad_told = true;
}

static int tail_each(void *ctx, struct sw_str line)
{
        struct tail *t = ctx;

        if (line.n == 0)
                return 0;
        switch (sw_finding_match(line, &t->filter)) {
        case SW_FINDING_MATCHES:
                t->n_findings++;
                return t->ring ? tail_ring_add(t->ring, line) : tail_print(t, line);
        case SW_FINDING_INVALID:
                t->n_bad++;
                if (!t->ring)
                        tail_tell_bad(t);
                return 0;
        default:
                t->n_findings++;
                return 0;
        }
}

static int tail_ring_print(struct tail *t, const struct tail_ring *r)
{
        size_t i, at;
        int ret = 0;

        for (i = 0; i < r->n && ret == 0; i++) {
                at = (r->next + r->cap - r->n + i) % r->cap;
                ret = tail_print(t, (struct sw_str){ r->lines[at], r->sizes[at] });
        }
        return ret;
}

/* Reads the file from its end backwards in growing blocks until the ring is full: alert files may be large. `in` is
 * left open at the end of the file. */
static int tail_last_of(struct tail *t, const char *path, struct sw_tail_file *in, struct tail_ring *ring)
{
        size_t cap = ring->cap;
        struct stat st;
        int64_t block = TAIL_BLOCK, from;
        int r;

        if (stat(path, &st) != 0)
                return -SW_ERR_IO;
        for (;; block *= 16) {
                from = st.st_size > block ? st.st_size - block : 0;
                tail_ring_deinit(ring);
                r = tail_ring_init(ring, cap);
                if (r == 0)
                        r = sw_tail_file_open(in, path, from);
                if (r < 0)
                        return r;
                t->ring = ring;
                r = sw_tail_file_read(in, !t->follow, tail_each, t);
                t->ring = NULL;
                if (r != 0 || from == 0 || ring->n == cap)
                        return r;
        }
}

/* The last N over FILE, FILE.1, ... as far as needed; prints them oldest first. */
static int tail_last(struct tail *t, struct sw_tail_file *in)
{
        struct tail_ring rings[64] = { 0 };
        struct sw_tail_file old = SW_TAIL_FILE_NULL;
        size_t want = t->last;
        char name[PATH_MAX];
        int n = 0, r = 0;

        do {
                struct tail_ring *ring = &rings[n];

                ring->cap = want;
                if (n == 0)
                        snprintf(name, sizeof(name), "%s", t->file);
                else
                        snprintf(name, sizeof(name), "%s.%d", t->file, n);
                if (n > 0 && access(name, R_OK) != 0)
                        break;
                r = n == 0 ? tail_last_of(t, t->file, in, ring) : tail_last_of(t, name, &old, ring);
                want -= ring->n;
        } while (r == 0 && ++n < 64 && want > 0);
        while (r == 0 && --n >= 0)
                r = tail_ring_print(t, &rings[n]);
        for (n = 0; n < 64; n++)
                tail_ring_deinit(&rings[n]);
        sw_tail_file_close(&old);
        return r;
}

/* Everything since a time: rotated files that were written to after it, oldest first, then FILE. */
static int tail_since(struct tail *t, struct sw_tail_file *in)
{
        struct sw_tail_file old = SW_TAIL_FILE_NULL;
        char name[PATH_MAX];
        struct stat st;
        int k = 1, r = 0;

        for (;; k++) {
                snprintf(name, sizeof(name), "%s.%d", t->file, k);
                if (stat(name, &st) != 0 || st.st_mtim.tv_sec * 1000 < t->filter.since.ms)
                        break;
        }
        while (--k > 0 && r == 0) {
                snprintf(name, sizeof(name), "%s.%d", t->file, k);
                if (sw_tail_file_open(&old, name, 0) == 0)
                        r = sw_tail_file_read(&old, true, tail_each, t);
        }
        sw_tail_file_close(&old);
        if (r == 0)
                r = sw_tail_file_open(in, t->file, 0);
        return r == 0 ? sw_tail_file_read(in, !t->follow, tail_each, t) : r;
}

static int tail_stdin(struct tail *t)
{
        struct sw_tail_file in = { .fd = STDIN_FILENO };
        struct tail_ring ring = { 0 };
        int r = 0;

        if (t->has_last) {
                r = tail_ring_init(&ring, t->last);
                t->ring = &ring;
        }
        /* line by line as it comes: `replay ... | segwatch tail -` shows findings at once */
        while (r == 0) {
                char chunk[65536];
                ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        fprintf(stderr, "segwatch tail: standard input: %s\n", strerror(errno));
                r = n < 0 ? -SW_ERR_IO
                          : sw_tail_file_feed(&in, (struct sw_str){ chunk, (size_t)n }, n == 0, tail_each, t);
                if (r == 0)
                        r = tail_flush(t);
                if (n == 0)
                        break;
        }
        t->ring = NULL;
        if (r == 0 && t->has_last)
                r = tail_ring_print(t, &ring);
        tail_ring_deinit(&ring);
        sw_tail_file_close(&in);
        return r;
}

static int tail_file(struct tail *t)
{
        struct sw_tail_file in = SW_TAIL_FILE_NULL;
        int r;

        in.path = t->file;
        if (t->follow && access(t->file, F_OK) != 0 && errno == ENOENT) {
                fprintf(stderr, "segwatch tail: waiting for %s\n", t->file);
                r = 0;
        } else {
                r = t->has_last || sw_etime_is_none(t->filter.since) ? tail_last(t, &in) : tail_since(t, &in);
        }
        if (r == 0)
                r = tail_flush(t);
        while (r == 0 && t->follow) {
                usleep(TAIL_POLL_US);
                r = sw_tail_file_follow(&in, tail_each, t);
                if (r == 0)
                        r = tail_flush(t);
        }
        if (r == -SW_ERR_IO)
                fprintf(stderr, "segwatch tail: %s: %s\n", t->file, strerror(errno));
        sw_tail_file_close(&in);
        return r;
}

static bool tail_parse_format(const char *text, enum sw_finding_format *ret)
{
        static const char *const names[] = { "compact", "json", "table" };
        unsigned i;

        for (i = 0; i < 3; i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum sw_finding_format)i;
                        return true;
                }
        return false;
}

enum { TAIL_SINCE = SW_CMD_LONG, TAIL_SEVERITY, TAIL_SRC };

static const struct sw_cmd_opt tail_options[] = {
        { "config", 'c', "FILE", "configuration, default " SW_CMD_CONFIG " if it is there" },
        { "follow", 'f', NULL, "go on with what is written later, through rotation and truncation" },
        { "last", 'n', "N", "the last N findings that match (default 10 of a file, all of stdin)" },
        { "since", TAIL_SINCE, "T", "only since T: " SW_SINCE_HELP },
        { "severity", TAIL_SEVERITY, "S", "at least informational, low, medium, high or critical",
                "informational low medium high critical" },
        { "src", TAIL_SRC, "CIDR", "only of actors or sources in CIDR (10.1.0.0/24, fd00::/64, 10.1.2.3)" },
        { "output", 'o', "F", "compact: one line per finding; json: the lines as they are; table",
                "compact json table" },
        SW_CMD_OPT_COLOR,
        { 0 },
};

/* 0 or the exit code of a wrong option. */
static int tail_parse(struct tail *t, int argc, char **argv, enum sw_color *color, const char **config)
{
        struct sw_cmd_args a;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_tail, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                bool ok = true;

                switch (c) {
                case 'c':
                        *config = a.value;
                        break;
                case 'f':
                        t->follow = true;
                        break;
                case 'n':
                        ok = sw_parse_u64(sw_str_of(a.value), &t->last) && t->last <= TAIL_LAST_MAX;
                        t->has_last = true;
                        break;
                case TAIL_SINCE:
                        ok = sw_since_parse(a.value, &t->filter.since);
                        break;
                case TAIL_SEVERITY:
                        ok = sw_finding_severity(sw_str_of(a.value), &t->filter.severity);
                        break;
                case TAIL_SRC:
                        ok = t->filter.has_src = sw_prefix_parse(sw_str_of(a.value), &t->filter.src, NULL);
                        break;
                case 'o':
                        ok = tail_parse_format(a.value, &t->style.format);
                        break;
                case SW_CMD_COLOR:
                        ok = sw_color_by_name(a.value, color);
                        break;
                }
                if (!ok)
                        return sw_cmd_args_bad_value(&a, c, c == 'n' ? "a number up to 1000000" : NULL);
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest > 1)
                return sw_cmd_usage(&sw_cmd_tail, "one file at a time; '%s' is too much", a.rest[1]);
        if (a.n_rest == 1)
                t->file = a.rest[0];
        return 0;
}

/* The alert file that the configuration names; its default if there is no configuration. */
static int tail_find_file(const char *config, struct tail *t, struct sw_conf *conf)
{
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));
        int r;

        if (!report)
                return SW_EXIT_FAILURE;
        if (!config && access(SW_CMD_CONFIG, R_OK) == 0)
                config = SW_CMD_CONFIG;
        r = sw_conf_load(config, false, conf, report);
        if (r < 0) {
                sw_conf_report_print(report);
                fprintf(stderr, "segwatch tail: name the alert file, or a configuration without errors with -c\n");
        }
        t->file = conf->alerts.file;
        sw_free(report);
        return r == 0 ? SW_EXIT_OK : SW_EXIT_CONFIG;
}

static const char *tail_name(const struct tail *t)
{
        return strcmp(t->file, "-") == 0 ? "the input" : t->file;
}

static int tail_exit_code(struct tail *t, int r)
{
        if (r == -SW_ERR_NOMEM)
                fprintf(stderr, "segwatch tail: out of memory\n");
        if (r < 0)
                return SW_EXIT_FAILURE;
        if (t->n_bad == 0 && t->n_findings == 0 && !t->follow)
                fprintf(stderr, "segwatch tail: warning: there are no findings in %s\n", tail_name(t));
        if (t->n_bad == 0)
                return SW_EXIT_OK;
        if (t->n_findings > 0) {
                tail_tell_bad(t);
                return SW_EXIT_OK;
        }
        fprintf(stderr, "segwatch tail: nothing in %s is a finding: is it an alert file of segwatch?\n", tail_name(t));
        return SW_EXIT_DATA;
}

static int tail_run(int argc, char **argv)
{
        struct tail t = { .last = TAIL_DEFAULT_LAST, .filter.since = SW_ETIME_NONE };
        enum sw_color color = SW_COLOR_AUTO;
        struct sw_conf conf = { 0 };
        const char *config = NULL;
        int r = tail_parse(&t, argc, argv, &color, &config);

        if (r == 0 && !t.file)
                r = tail_find_file(config, &t, &conf);
        if (r != 0) {
                sw_conf_deinit(&conf);
                return r;
        }
        t.style.color = sw_color_wanted(color, STDOUT_FILENO);
        t.style.terminal = isatty(STDOUT_FILENO);
        r = strcmp(t.file, "-") == 0 ? tail_stdin(&t) : tail_file(&t);
        if (r == 0)
                r = tail_flush(&t);
        sw_buf_deinit(&t.out);
        r = tail_exit_code(&t, r);
        sw_conf_deinit(&conf);
        return r;
}

const struct sw_cmd sw_cmd_tail = {
        .name = "tail",
        .args = "[options] [FILE|-]",
        .summary = "show findings from the alert file or a pipe",
        .about = "FILE is the alert file of the configuration unless given; - reads stdin.",
        .options = tail_options,
        .examples = "segwatch tail -f --severity high\n"
                    "segwatch tail --since 1h --src 10.1.0.0/16 -o json | jq .finding_info.title\n"
                    "segwatch replay flows/ | segwatch tail -o table -\n",
        .operands = "FILE",
        .run = tail_run,
};
