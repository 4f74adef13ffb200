/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a verb of the program again and again, each time with another allocation failing. Not installed.
 *
 *   alloc_run [--seed N] [--points N] [--at N] [--prepare COMMAND] [--file PATH] [--term MS] [--control
 * crash|leak|silent|wrong] -- VERB [ARGS]
 *
 * All memory of the program comes through lib/base/alloc.c, whose malloc, calloc, realloc and mmap are wrapped here.
 * The first run counts them; each further one runs in a child of its own with the n-th failing, and on every other
 * point all that follow as well. A child must end by itself with exit code 0 and the very output of the first run, or
 * with a failure that speaks of memory: no signal, no report of a sanitizer (leaks included), no wrong output, no hang.
 * --prepare: a shell command before each run; --file: a file that belongs to the output; --term: the run gets SIGTERM
 * after that time, for verbs that do not end. --control runs a function with a known fault instead of the verb: the
 * proof that it would be seen. Prints one line of totals; exit 1 if a point was bad. */
#include "base/alloc.h"
#include "main.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_S = 30, MAX_SHOWN = 5, OUTPUT_MAX = 4 << 20 };

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);

/* Shared with the children. */
struct shared {
        atomic_ulong n_asked;
        atomic_bool failed;
};
static struct shared *shared;
static unsigned long fail_at; /* from 1; 0 = never, ULONG_MAX = not even counted */
static bool fail_on;          /* all that follow fail too */

static bool fails(void)
{
        unsigned long n;

        if (!shared || fail_at == ULONG_MAX)
                return false;
        n = atomic_fetch_add(&shared->n_asked, 1) + 1;
        if (fail_at == 0 || n < fail_at || (n > fail_at && !fail_on))
                return false;
        atomic_store(&shared->failed, true);
        return true;
}

void *__wrap_malloc(size_t n)
{
        return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
        return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
        if (fails()) {
                errno = ENOMEM;
                return MAP_FAILED;
        }
        return __real_mmap64(at, n, prot, flags, fd, offset);
}

/* ---- what must be seen ---- */

/* Loses several: a stray copy of one pointer on the stack would hide it from the leak check. */
static void __attribute__((noinline)) control_lose(void)
{
        char *volatile p;
        unsigned i;

        for (i = 0; i < 16; i++) {
                p = sw_alloc(64);
                if (p)
                        *p = 'x';
        }
        p = NULL;
}

static int control(const char *kind)
{
        char *p = sw_alloc(16), *q = sw_alloc(16);

        if (strcmp(kind, "crash") == 0) {
                *(volatile char *)p = 1; /* unchecked */
                *(volatile char *)q = 1;
        } else if (strcmp(kind, "leak") == 0) {
                if (!p || !q) {
                        fprintf(stderr, "control: out of memory\n");
                        control_lose();
                        return 1; /* one of them is lost */
                }
        } else if (strcmp(kind, "silent") == 0) {
                if (p && q)
                        printf("a line\n");
        } else if (!p || !q) {
                fprintf(stderr, "control: something went wrong\n");
                sw_free(p);
                sw_free(q);
                return 1;
        }
        sw_free(p);
        sw_free(q);
        return 0;
}

struct plan {
        unsigned long seed, at; /* at: this point alone, both ways; 0 = n_points of the seed */
        unsigned n_points, term_ms;
        const char *kind, *prepare, *file;
};
static const struct plan *plan_now; /* for the child's thread */

static void *term_later(void *arg)
{
        (void)arg;
        (void)usleep(plan_now->term_ms * 1000);
        (void)kill(getpid(), SIGTERM);
        return NULL;
}

/* ---- one child ---- */

struct outcome {
        int status;
        char *out, *err; /* NUL-terminated, from malloc */
        size_t n_out;
        unsigned long n_asked;
        bool failed;
};

static void die(const char *what)
{
        perror(what);
        exit(2);
}

static char *slurp(FILE *f, size_t *ret_n)
{
        char *p = __real_malloc(OUTPUT_MAX + 1);

        if (!p)
                die("memory");
        rewind(f);
        *ret_n = fread(p, 1, OUTPUT_MAX, f);
        p[*ret_n] = '\0';
        fclose(f);
        return p;
}

static void run_child(const struct plan *plan, unsigned long at, bool on, char **argv, struct outcome *ret)
{
        FILE *out = tmpfile(), *err = tmpfile();
        int argc = 0;
        pthread_t thread;
        size_t n;
        pid_t pid;

        if (!out || !err)
                die("tmpfile");
        while (argv[argc])
                argc++;
        atomic_store(&shared->n_asked, 0);
        atomic_store(&shared->failed, false);
        fflush(NULL);
        if (plan->prepare && system(plan->prepare) != 0)
                die(plan->prepare);
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                (void)dup2(fileno(out), STDOUT_FILENO);
                (void)dup2(fileno(err), STDERR_FILENO);
                (void)alarm(CHILD_S);
                fail_at = at;
                fail_on = on;
                plan_now = plan;
                if (plan->term_ms && (pthread_create(&thread, NULL, term_later, NULL) || pthread_detach(thread)))
                        die("thread");
                argc = plan->kind ? control(plan->kind) : sw_main(argc, argv);
                fail_at = ULONG_MAX; /* what counts coverage writes it at the exit, with memory of its own */
                exit(argc);
        }
        while (waitpid(pid, &ret->status, 0) < 0)
                if (errno != EINTR)
                        die("waitpid");
        ret->n_asked = atomic_load(&shared->n_asked);
        ret->failed = atomic_load(&shared->failed);
        if (plan->file) {
                fclose(out);
                out = fopen(plan->file, "r");
                if (!out)
                        out = tmpfile();
                if (!out)
                        die("tmpfile");
        }
        ret->out = slurp(out, &ret->n_out);
        ret->err = slurp(err, &n);
}

static void outcome_free(struct outcome *o)
{
        free(o->out);
        free(o->err);
}

/* NULL: as it should be. */
static const char *judge(const struct outcome *first, const struct outcome *o)
{
        int code;

        if (WIFSIGNALED(o->status))
                return WTERMSIG(o->status) == SIGALRM ? "hung" : "died by a signal";
        code = WEXITSTATUS(o->status);
        if (strstr(o->err, "Sanitizer") || strstr(o->err, "runtime error"))
                return "a sanitizer complains";
        if (code == 0)
                return o->n_out == first->n_out && memcmp(o->out, first->out, o->n_out) == 0
                               ? NULL
                               : "success with another output";
        if (code != 1 && code != 75 && code != 78)
                return "an exit code that says something else";
        return strstr(o->err, "memory") ? NULL : "a failure that does not speak of memory";
}

/* splitmix64 */
static unsigned long next_random(unsigned long *state)
{
        unsigned long z = (*state += 0x9e3779b97f4a7c15UL);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
        return z ^ (z >> 31);
}

/* Half of the points anywhere, half near the start, where every allocation is another place of the program. */
static unsigned long pick(unsigned long *random, unsigned long n_asked, unsigned i, unsigned n_points)
{
        unsigned long near = n_points < n_asked ? n_points : n_asked;

        if (n_points >= n_asked)
                return i % n_asked + 1;
        if (i % 4 >= 2)
                return next_random(random) % n_asked + 1;
        return next_random(random) % near + 1;
}

static int run_all(const struct plan *plan, char **argv)
{
        struct outcome first = { 0 }, o = { 0 };
        unsigned long random = plan->seed;
        unsigned i, n_points = plan->at ? 2 : plan->n_points, n_bad = 0, n_failed = 0, n_clean = 0;

        run_child(plan, 0, false, argv, &first);
        if (!WIFEXITED(first.status) || WEXITSTATUS(first.status) != 0) {
                fprintf(stderr, "alloc_run: the undisturbed run failed:\n%s", first.err);
                outcome_free(&first);
                return 2;
        }
        for (i = 0; i < n_points; i++) {
                unsigned long at = plan->at ? plan->at : pick(&random, first.n_asked, i, n_points);
                bool on = (i ^ (i / first.n_asked)) & 1; /* in the second round the other way */
                const char *bad;

                run_child(plan, at, on, argv, &o);
                if (plan->term_ms && WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGTERM) {
                        /* our signal met a start or an end that takes long: that is not what is looked for */
                        struct plan patient = *plan;

                        patient.term_ms *= 8;
                        outcome_free(&o);
                        run_child(&patient, at, on, argv, &o);
                }
                bad = judge(&first, &o);
                n_failed += o.failed;
                n_clean += !bad && WIFEXITED(o.status) && WEXITSTATUS(o.status) == 0;
                if (bad && n_bad++ < MAX_SHOWN)
                        fprintf(stderr, "alloc_run: allocation %lu%s: %s (status %#x)\n%.4000s\n", at,
                                on ? " and all after" : "", bad, (unsigned)o.status, o.err);
                outcome_free(&o);
        }
        printf("seed %lu: %lu allocations, %u points, %u reached, %u went on unharmed, %u bad\n", plan->seed,
                first.n_asked, n_points, n_failed, n_clean, n_bad);
        outcome_free(&first);
        return n_bad || n_failed == 0;
}

int main(int argc, char **argv)
{
        struct plan plan = { .seed = 1, .n_points = 100 };
        int i;

        shared = __real_mmap64(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                die("mmap");
        for (i = 1; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
                if (strcmp(argv[i], "--seed") == 0)
                        plan.seed = strtoul(argv[i + 1], NULL, 10);
                else if (strcmp(argv[i], "--points") == 0)
                        plan.n_points = (unsigned)strtoul(argv[i + 1], NULL, 10);
                else if (strcmp(argv[i], "--control") == 0)
                        plan.kind = argv[i + 1];
                else if (strcmp(argv[i], "--at") == 0)
                        plan.at = strtoul(argv[i + 1], NULL, 10);
                else if (strcmp(argv[i], "--prepare") == 0)
                        plan.prepare = argv[i + 1];
                else if (strcmp(argv[i], "--file") == 0)
                        plan.file = argv[i + 1];
                else if (strcmp(argv[i], "--term") == 0)
                        plan.term_ms = (unsigned)strtoul(argv[i + 1], NULL, 10);
                else
                        die(argv[i]);
        }
        if (i < argc && strcmp(argv[i], "--") == 0)
                argv[i] = argv[0];
        return run_all(&plan, argv + i);
}
