/* SPDX-License-Identifier: Apache-2.0 */
/* Commits known releases to an outbox and exports them, and can be killed at any moment:
 *
 *   outbox_loop run DIR N            goes on behind the newest release in DIR up to release N, then "done"
 *   outbox_loop check DIR N          every line once, each file in order: 0, else 1 and what is wrong
 *   outbox_loop kill DIR N KILLS SEED [double]
 *                                    run, killed KILLS times at random moments (and moved, cut at a copy, written into
 *                                    between), then run to its end and checked; `double`: writes one line twice before
 *                                    the check, which must then fail
 *   outbox_loop measure DIR N        N releases of one 2 KiB finding: alone, through the writer, and how long until the
 *                                    line stands in the file
 *
 * Release n has (7 n mod 5) findings. Files: DIR/outbox.db, DIR/alerts.jsonl and what it was rotated or moved to. Run
 * under whatever breaks system calls: everything is in one process, exit 75 is a failed write. */
#include "sink/alert_export.h"
#include "state/outbox_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOP_ROTATE 200000
#define LOOP_KEEP 1000
#define LOOP_PER_RELEASE 5
#define LOOP_COVER 40 /* releases that are kept */

static unsigned loop_findings(uint64_t release)
{
        return (unsigned)(release * 7 % LOOP_PER_RELEASE);
}

/* A line of its own length, so that a torn one is torn elsewhere each time. */
static void loop_line(struct sw_buf *out, uint64_t release, unsigned i)
{
        unsigned pad = (unsigned)(release * 131 + i * 17) % 700;

        sw_buf_printf(out, "{\"release\":%llu,\"finding\":%u,\"pad\":\"", (unsigned long long)release, i);
        while (pad--)
                sw_buf_putc(out, (char)('a' + pad % 26));
        sw_buf_puts(out, "\"}");
}

/* ---- run ---- */

static struct sw_alert_export *exporter;
static atomic_bool stop;

static void loop_committed(void *ctx)
{
        (void)ctx;
        sw_alert_export_wake(exporter);
}

static void loop_failed(void *ctx, int r)
{
        (void)ctx;
        fprintf(stderr, "outbox_loop: %s\n", sw_error_text(r));
        _exit(75);
}

static void loop_stop(int signum)
{
        (void)signum;
        atomic_store(&stop, true);
}

static int loop_release(struct sw_outbox_writer *w, uint64_t number)
{
        struct sw_outbox_offset offset = { .source = "loop", .topic = "t", .next = (int64_t)number };
        struct sw_outbox_release r = { .number = number, .offsets = &offset, .n_offsets = 1 };
        struct sw_lines l = { 0 };
        unsigned i;
        int e = 0;

        for (i = 0; i < loop_findings(number) && e == 0; i++) {
                size_t from = l.text.n;
                char uid[33];

                snprintf(uid, sizeof(uid), "%031llu%u", (unsigned long long)number, i);
                loop_line(&l.text, number, i);
                e = sw_lines_add(&l, from, (uint8_t)(1 + i), uid);
        }
        if (e == 0)
                e = sw_outbox_writer_put(w, &r, &l, NULL);
        sw_lines_deinit(&l);
        return e;
}

static int loop_go(struct sw_outbox *o, struct sw_outbox_writer *w, uint64_t n)
{
        struct sw_outbox_release last;
        uint64_t number;
        int r = sw_outbox_last(o, &last);

        for (number = last.number + 1; number <= n && r == 0 && !atomic_load(&stop); number++) {
                r = loop_release(w, number);
                if (r == 0 && number % LOOP_COVER == 0)
                        r = sw_outbox_forget(o, sw_outbox_writer_release(w));
        }
        return r == 0 ? sw_outbox_writer_wait(w, sw_outbox_writer_ticket(w)) : r;
}

static int loop_run(const char *dir, uint64_t n)
{
        struct sw_outbox_conf conf = { .dir = dir, .max_bytes = 100000, .stop = &stop };
        struct sw_outbox_writer_conf writer = { .on_commit = loop_committed, .on_fail = loop_failed, .stop = &stop };
        struct sw_alert_export_conf export = {
                .rotate_bytes = LOOP_ROTATE, .keep = LOOP_KEEP, .on_fail = loop_failed, .stop = &stop
        };
        struct sw_outbox_writer *w = NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_outbox *o = NULL;
        struct sw_log *log = NULL;
        char path[4096];
        int r;

        snprintf(path, sizeof(path), "%s/alerts.jsonl", dir);
        export.path = path;
        r = sw_log_new(STDERR_FILENO, SW_LOG_WARNING, SW_LOG_LOGFMT, &log);
        if (r == 0)
                r = sw_outbox_open(&conf, log, &o, &err);
        export.outbox = writer.outbox = o;
        if (r == 0)
                r = sw_alert_export_new(&export, log, &exporter, &err);
        if (r == 0)
                r = sw_outbox_writer_new(&writer, &w);
        if (r == 0)
                r = loop_go(o, w, n);
        sw_outbox_writer_free(w);
        while (r == 0 && !atomic_load(&stop)) {
                struct sw_outbox_sink_stats k = { 0 };

                sw_alert_export_drain(exporter);
                r = sw_outbox_sink_stats(o, SW_ALERT_SINK, &k);
                if (k.rows == 0)
                        break;
        }
        sw_alert_export_free(exporter);
        sw_outbox_close(o);
        sw_log_free(log);
        if (r != 0)
                fprintf(stderr, "outbox_loop: %s: %s\n", sw_error_text(r), err.msg);
        return r == -SW_ERR_IO || r == -SW_ERR_UNAVAIL ? 75 : r != 0;
}

/* ---- measure ---- */

static double loop_now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void loop_big_line(struct sw_lines *l, uint64_t number)
{
        char uid[33];
        unsigned i;

        sw_lines_reset(l);
        snprintf(uid, sizeof(uid), "%032llu", (unsigned long long)number);
        for (i = 0; i < 2048; i++)
                sw_buf_putc(&l->text, (char)('a' + (number + i) % 26));
        (void)sw_lines_add(l, 0, 3, uid);
}

static int loop_by_double(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static int loop_measure_latency(struct sw_outbox_writer *w, const char *path, uint64_t number, struct sw_lines *l)
{
        enum { N = 300 };
        static double ms[N];
        const struct timespec pause = { .tv_nsec = 3000000 };
        struct stat st;
        off_t before;
        unsigned i;
        double t;
        int r = 0;

        for (i = 0; i < N && r == 0; i++) {
                struct sw_outbox_release release = { .number = number + i };

                loop_big_line(l, number + i);
                before = stat(path, &st) == 0 ? st.st_size : 0;
                t = loop_now();
                r = sw_outbox_writer_put(w, &release, l, NULL);
                while (r == 0 && stat(path, &st) == 0 && st.st_size == before)
                        ;
                ms[i] = (loop_now() - t) * 1000;
                nanosleep(&pause, NULL);
        }
        qsort(ms, N, sizeof(*ms), loop_by_double);
        printf("put to line: median %.2f ms, 99th %.2f ms, worst %.2f ms\n", ms[N / 2], ms[N * 99 / 100], ms[N - 1]);
        return r;
}

static int loop_measure(const char *dir, uint64_t n)
{
        struct sw_outbox_conf conf = { .dir = dir, .max_bytes = 64 << 20 };
        struct sw_outbox_writer_conf writer = { .on_commit = loop_committed, .on_fail = loop_failed };
        struct sw_alert_export_conf export = { .on_fail = loop_failed };
        struct sw_outbox_writer *w = NULL;
        struct sw_outbox *o = NULL;
        struct sw_log *log = NULL;
        struct sw_lines l = { 0 };
        char path[4096];
        uint64_t number;
        double t;
        int r;

        snprintf(path, sizeof(path), "%s/alerts.jsonl", dir);
        export.path = path;
        r = sw_log_new(STDERR_FILENO, SW_LOG_WARNING, SW_LOG_LOGFMT, &log);
        if (r == 0)
                r = sw_outbox_open(&conf, log, &o, NULL);
        t = loop_now();
        for (number = 1; number <= n && r == 0; number++) {
                loop_big_line(&l, number);
                r = sw_outbox_commit(o, &(struct sw_outbox_release){ .number = number }, &l);
        }
        printf("one by one: %.0f commits/s\n", (double)n / (loop_now() - t));
        export.outbox = writer.outbox = o;
        if (r == 0)
                r = sw_alert_export_new(&export, log, &exporter, NULL);
        if (r == 0)
                r = sw_outbox_writer_new(&writer, &w);
        t = loop_now();
        for (; number <= 2 * n && r == 0; number++) {
                loop_big_line(&l, number);
                r = sw_outbox_writer_put(w, &(struct sw_outbox_release){ .number = number }, &l, NULL);
        }
        if (r == 0)
                r = sw_outbox_writer_wait(w, n);
        printf("queued: %.0f releases/s\n", (double)n / (loop_now() - t));
        sw_alert_export_drain(exporter);
        printf("and exported: %.0f lines/s\n", (double)n / (loop_now() - t));
        if (r == 0)
                r = loop_measure_latency(w, path, number, &l);
        sw_outbox_writer_free(w);
        sw_alert_export_free(exporter);
        sw_outbox_close(o);
        sw_log_free(log);
        sw_lines_deinit(&l);
        return r != 0;
}

/* ---- check ---- */

struct loop_seen {
        uint64_t n;
        unsigned char *times; /* by release and finding */
        unsigned n_wrong;
};

static void loop_check_line(struct loop_seen *s, const char *file, const char *line, uint64_t *last)
{
        struct sw_buf wanted = SW_BUF_NULL;
        unsigned long long release;
        unsigned finding;
        uint64_t at;

        if (*line == '#')
                return;
        if (sscanf(line, "{\"release\":%llu,\"finding\":%u", &release, &finding) == 2 && release >= 1 &&
                release <= s->n && finding < loop_findings(release)) {
                loop_line(&wanted, release, finding);
                sw_buf_putc(&wanted, '\0');
        }
        if (!wanted.p || strcmp(wanted.p, line) != 0) {
                fprintf(stderr, "%s: not a line of ours: %.80s\n", file, line);
                s->n_wrong++;
        } else {
                at = release * LOOP_PER_RELEASE + finding;
                if (at < *last)
                        fprintf(stderr, "%s: out of order: %.60s\n", file, line), s->n_wrong++;
                *last = at;
                if (++s->times[at] > 1)
                        fprintf(stderr, "%s: twice: %.60s\n", file, line), s->n_wrong++;
        }
        sw_buf_deinit(&wanted);
}

static void loop_check_file(struct loop_seen *s, const char *path)
{
        FILE *f = fopen(path, "r");
        uint64_t last = 0;
        char *line = NULL;
        size_t cap = 0;
        ssize_t n;

        while (f && (n = getline(&line, &cap, f)) > 0) {
                if (line[n - 1] != '\n')
                        fprintf(stderr, "%s: the last line is torn\n", path), s->n_wrong++;
                else
                        line[n - 1] = '\0';
                loop_check_line(s, path, line, &last);
        }
        free(line);
        if (f)
                fclose(f);
}

static int loop_check(const char *dir, uint64_t n)
{
        struct loop_seen s = { .n = n, .times = calloc(n + 1, LOOP_PER_RELEASE) };
        struct dirent *entry;
        char path[4096];
        uint64_t release;
        unsigned i;
        DIR *d = opendir(dir);

        while (d && s.times && (entry = readdir(d)) != NULL)
                if (strncmp(entry->d_name, "alerts.jsonl", 12) == 0) {
                        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
                        loop_check_file(&s, path);
                }
        for (release = 1; release <= n && s.times; release++)
                for (i = 0; i < loop_findings(release); i++)
                        if (s.times[release * LOOP_PER_RELEASE + i] == 0 && ++s.n_wrong < 20)
                                fprintf(stderr, "lost: release %llu finding %u\n", (unsigned long long)release, i);
        if (d)
                closedir(d);
        free(s.times);
        return s.n_wrong > 0 || !d;
}

/* ---- kill ---- */

static uint64_t loop_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* What others do to the file while nobody writes. */
static void loop_meddle(const char *dir, unsigned round, uint64_t random)
{
        char path[4096], moved[4200], last = '\n';
        struct stat st;
        int fd;

        snprintf(path, sizeof(path), "%s/alerts.jsonl", dir);
        snprintf(moved, sizeof(moved), "%s-%u", path, round);
        if (random % 8 == 0) {
                (void)rename(path, moved);
        } else if (random % 8 == 1) {
                fd = open(path, O_RDWR | O_APPEND);
                if (fd >= 0 && fstat(fd, &st) == 0 &&
                        (st.st_size == 0 || (pread(fd, &last, 1, st.st_size - 1) == 1 && last == '\n')) &&
                        write(fd, "# somebody else's\n", 18) != 18)
                        fprintf(stderr, "outbox_loop: cannot write into the file\n");
                if (fd >= 0)
                        close(fd);
        }
}

static pid_t loop_fork(const char *dir, uint64_t n)
{
        pid_t pid = fork();

        if (pid == 0)
                _exit(loop_run(dir, n));
        return pid;
}

static int loop_kill(const char *dir, uint64_t n, unsigned kills, uint64_t seed, bool twice)
{
        uint64_t state = seed * 2 + 1;
        unsigned i, n_killed = 0;
        char command[4200];
        int status;

        for (i = 0; i < kills; i++) {
                pid_t pid = loop_fork(dir, n);
                struct timespec t = { .tv_nsec = (long)(loop_random(&state) % 40000) * 1000 };

                nanosleep(&t, NULL);
                (void)kill(pid, SIGKILL);
                if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
                        n_killed++;
                loop_meddle(dir, i, loop_random(&state));
        }
        if (waitpid(loop_fork(dir, n), &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                fprintf(stderr, "outbox_loop: the last run failed\n");
                return 1;
        }
        printf("%u of %u runs were killed, seed %llu\n", n_killed, kills, (unsigned long long)seed);
        if (twice) {
                snprintf(command, sizeof(command), "tail -1 %s/alerts.jsonl >> %s/alerts.jsonl", dir, dir);
                if (system(command) != 0)
                        return 0;
        }
        return loop_check(dir, n) || (!twice && n_killed < kills * 9 / 10);
}

int main(int argc, char **argv)
{
        struct sigaction sa = { .sa_handler = loop_stop };
        char temporary[] = "/tmp/segwatch-loop-XXXXXX", command[64];
        const char *dir = argc > 2 ? argv[2] : "";
        uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
        int r = 64;

        (void)sigaction(SIGTERM, &sa, NULL);
        (void)signal(SIGXFSZ, SIG_IGN);
        if (strcmp(dir, "-") == 0 && !(dir = mkdtemp(temporary)))
                return 1;
        if (argc == 4 && strcmp(argv[1], "run") == 0)
                r = loop_run(dir, n);
        else if (argc == 4 && strcmp(argv[1], "check") == 0)
                r = loop_check(dir, n);
        else if (argc == 4 && strcmp(argv[1], "measure") == 0)
                r = loop_measure(dir, n);
        else if (argc >= 6 && strcmp(argv[1], "kill") == 0)
                r = loop_kill(dir, n, (unsigned)strtoul(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), argc > 6);
        else
                fprintf(stderr, "usage: outbox_loop run|check|measure DIR N | kill DIR N KILLS SEED [double] (DIR -: a "
                                "new one)\n");
        if (dir == temporary) {
                snprintf(command, sizeof(command), "rm -rf %s", temporary);
                if (r == 0 && system(command) != 0)
                        r = 1;
        }
        if (r == 0 && argc > 1 && strcmp(argv[1], "run") == 0)
                puts("done");
        return r;
}
