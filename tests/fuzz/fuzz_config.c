/* SPDX-License-Identifier: Apache-2.0 */
/* Whole configurations: no text crashes the check, every message has a place inside the text, and what is accepted
 * dumps to a configuration that is accepted and dumps to the same. */
#include "conf.h"
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sw_conf_report report;

/* Loads a text through an anonymous file; 0 and *ret, or negative. */
static int load(struct sw_str text, struct sw_conf *ret)
{
        int fd = memfd_create("configuration", MFD_CLOEXEC), r;
        char path[64];
        size_t at;

        FUZZ_CHECK(fd >= 0, "memfd_create");
        for (at = 0; at < text.n;) {
                ssize_t n = write(fd, text.p + at, text.n - at);

                FUZZ_CHECK(n > 0, "write");
                at += (size_t)n;
        }
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = sw_conf_load(path, false, ret, &report);
        (void)close(fd);
        return r;
}

static void check_report(int r, struct sw_str text)
{
        unsigned lines = 1;
        uint32_t i;
        size_t k;

        for (k = 0; k < text.n; k++)
                lines += text.p[k] == '\n' || text.p[k] == '\r';
        FUZZ_CHECK(r == 0 || r == -SW_ERR_CONFIG, "%d", r);
        FUZZ_CHECK((r == 0) == (report.n_errors == 0), "%d with %u errors", r, report.n_errors);
        for (i = 0; i < report.n_items; i++) {
                const struct sw_err *e = &report.items[i];

                FUZZ_CHECK(*e->msg && e->line <= lines + text.n / 2 + 1, "line %u of %u: %s", e->line, lines, e->msg);
                for (k = 0; e->msg[k]; k++)
                        FUZZ_CHECK((unsigned char)e->msg[k] >= 0x20 && e->msg[k] != 0x7f, "control byte: %s", e->msg);
        }
}

static void check_dump(struct sw_conf *conf)
{
        struct sw_buf one = SW_BUF_NULL, two = SW_BUF_NULL;
        struct sw_core_conf core;
        struct sw_conf again;

        sw_conf_core(conf, &core);
        FUZZ_CHECK(core.memory_limit_bytes >= 64 << 20 && core.segments, "core");
        sw_conf_dump(conf, &one);
        FUZZ_CHECK(load((struct sw_str){ one.p, one.n }, &again) == 0, "%u:%u: %s\n%.*s", report.items[0].line,
                report.items[0].column, report.items[0].msg, (int)one.n, one.p);
        sw_conf_dump(&again, &two);
        FUZZ_CHECK(one.n == two.n && memcmp(one.p, two.p, one.n) == 0, "%.*s\n---\n%.*s", (int)one.n, one.p, (int)two.n,
                two.p);
        sw_conf_deinit(&again);
        sw_buf_deinit(&one);
        sw_buf_deinit(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_str text = { (const char *)data, size };
        struct sw_conf conf;
        int r;

        if (size > 1 << 16 || memmem(data, size, "include", 7)) /* files of this machine are no input */
                return 0;
        r = load(text, &conf);
        check_report(r, text);
        if (r == 0)
                check_dump(&conf);
        sw_conf_deinit(&conf);
        sw_conf_deinit(&conf);
        return 0;
}
