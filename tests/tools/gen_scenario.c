/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the messages, configuration and truth of lib/scenario to files. See usage() below. */
#include "scenario/scenario.h"

#include "base/alloc.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct tool {
        struct sw_scenario_conf conf;
        const char *out;
        uint64_t max_bytes; /* stop after that many; 0 = never */
        bool pt1h, shuffle;
        uint64_t shuffle_seed;
        int64_t within_ms;
};

static int tool_usage(FILE *f)
{
        fprintf(f,
                "usage: gen_scenario [options] --out DIR|-\n\n"
                "Writes messages.ndjson (with - to stdout), config.yaml and truth.json.\n\n"
                "  --seed N            default 1\n"
                "  --hours H           of event time, default 30; --minutes M for less\n"
                "  --attack-minute M   after the start; default: 140 min before the end\n"
                "  --hosts N           60..100000, default 300\n"
                "  --load PCT          of ordinary traffic, default 100\n"
                "  --pooled N          connections that each host keeps open for hours, default 0\n"
                "  --attack NAME,...   %s, or none (default)\n"
                "  --scan-hosts N, --scan-gap MS, --fanout-hosts N\n"
                "  --sides one|both    which NICs log, default both\n"
                "  --format vnet|nsg2\n"
                "  --partitions N      default 4\n"
                "  --message-kb MIN:MAX  default 64:256\n"
                "  --max-mib N         stop after that much\n"
                "  --pt1h              a folder tree of PT1H.json per NIC and hour in DIR/blobs instead of messages\n"
                "  --shuffle SEED --within SECONDS\n"
                "                      disturb the order of messages so that no tuple is that much older than the\n"
                "                      newest before it\n",
                sw_scenario_attack_names());
        return f == stdout ? 0 : 64;
}

static int tool_fail(const char *what)
{
        fprintf(stderr, "gen_scenario: %s: %s\n", what, strerror(errno));
        return 1;
}

/* mkdir -p of everything before the last slash. */
static int tool_make_parents(char *path)
{
        char *p;

        for (p = path + 1; (p = strchr(p, '/')); p++) {
                *p = '\0';
                if (mkdir(path, 0777) < 0 && errno != EEXIST)
                        return -1;
                *p = '/';
        }
        return 0;
}

static FILE *tool_open(const struct tool *t, const char *name)
{
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", t->out, name);
        if (tool_make_parents(path) < 0)
                return NULL;
        return fopen(path, "w");
}

static int tool_write_text(const struct tool *t, const char *name, struct sw_buf *b)
{
        FILE *f;
        int r = 0;

        if (strcmp(t->out, "-") == 0) {
                sw_buf_deinit(b);
                return 0;
        }
        f = tool_open(t, name);
        if (!f || fwrite(b->p, 1, b->n, f) != b->n)
                r = tool_fail(name);
        if (f && fclose(f) != 0 && r == 0)
                r = tool_fail(name);
        sw_buf_deinit(b);
        return r;
}

/* One record goes between the opener and the closer of its NIC's hour, as a block of an append-like blob. */
static int tool_write_pt1h(const struct tool *t, const struct sw_scenario_message *m)
{
        static const char opener[] = "{\"records\":[", closer[] = "]}";
        char path[PATH_MAX], name[PATH_MAX / 2], when[SW_ETIME_TEXT];
        struct sw_str record = { m->bytes.p + sizeof(opener) - 1, m->bytes.n - sizeof(opener) - sizeof(closer) + 2 };
        FILE *f;
        int r;

        sw_etime_format(m->time, when);
        snprintf(name, sizeof(name),
                "blobs/flowLogResourceID=/5E9A7C1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_VNET/"
                "y=%.4s/m=%.2s/d=%.2s/h=%.2s/m=00/macAddress=%012llX/PT1H.json",
                when, when + 5, when + 8, when + 11, (unsigned long long)m->mac);
        snprintf(path, sizeof(path), "%s/%s", t->out, name);
        f = fopen(path, "r+");
        if (f) {
                fseek(f, -(long)(sizeof(closer) - 1), SEEK_END);
                fputc(',', f);
        } else {
                f = tool_open(t, name);
                if (!f)
                        return tool_fail(path);
                fputs(opener, f);
        }
        fwrite(record.p, 1, record.n, f);
        fputs(closer, f);
        r = ferror(f);
        if (fclose(f) != 0 || r)
                return tool_fail(path);
        return 0;
}

/* --- shuffling: a pool of messages, from which one is drawn whose newest tuple leaves no other too far behind --- */

struct pool_item {
        char *p;
        size_t n;
        int64_t oldest, newest;
};

struct pool {
        struct pool_item *items;
        uint32_t n, cap;
        int64_t newest, future; /* newest tuple written; lower bound of what is not yet in the pool */
        uint64_t rng;
};

static uint64_t pool_random(struct pool *p)
{
        uint64_t z = p->rng += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static int pool_add(struct pool *p, const struct sw_scenario_message *m)
{
        struct pool_item item = { .n = m->bytes.n, .oldest = m->oldest.ms, .newest = m->newest.ms };

        if (p->n == p->cap) {
                p->cap = p->cap ? p->cap * 2 : 64;
                p->items = sw_realloc_array(p->items, p->cap, sizeof(*p->items));
        }
        item.p = sw_alloc(item.n);
        if (!p->items || !item.p)
                return -1;
        memcpy(item.p, m->bytes.p, item.n);
        p->items[p->n++] = item;
        p->future = m->future_oldest.ms;
        return 0;
}

/* A random message that may be written now, or -1. The one with the oldest tuple always may: file order is fine. */
static int64_t pool_draw(struct pool *p, int64_t within_ms, bool more)
{
        int64_t least = more ? p->future : INT64_MAX, second = INT64_MAX;
        uint32_t i, k, start, holder = UINT32_MAX;

        for (i = 0; i < p->n; i++) {
                if (p->items[i].oldest < least) {
                        second = least;
                        least = p->items[i].oldest;
                        holder = i;
                } else if (p->items[i].oldest < second)
                        second = p->items[i].oldest;
        }
        start = p->n ? (uint32_t)(pool_random(p) % p->n) : 0;
        for (k = 0; k < p->n; k++) {
                i = (start + k) % p->n;
                int64_t top = p->items[i].newest > p->newest ? p->items[i].newest : p->newest;
                int64_t bottom = i == holder ? second : least;

                if (top - bottom < within_ms || bottom == INT64_MAX)
                        return i;
        }
        return more || !p->n ? -1 : (int64_t)holder;
}

static int tool_shuffled(const struct tool *t, struct sw_scenario *s, FILE *f)
{
        struct pool p = { .newest = INT64_MIN / 2, .rng = t->shuffle_seed };
        struct sw_scenario_message m;
        bool more = true;
        int r = 0;

        while (r == 0 && (more || p.n)) {
                int64_t i = p.n >= 24 || !more ? pool_draw(&p, t->within_ms, more) : -1;

                if (i < 0) {
                        r = sw_scenario_next(s, &m);
                        more = r == SW_SCENARIO_OK;
                        if (r == SW_SCENARIO_END)
                                r = 0;
                        if (more && pool_add(&p, &m) < 0)
                                r = -1;
                        continue;
                }
                if (p.items[i].newest > p.newest)
                        p.newest = p.items[i].newest;
                fwrite(p.items[i].p, 1, p.items[i].n, f);
                fputc('\n', f);
                sw_free(p.items[i].p);
                p.items[i] = p.items[--p.n];
        }
        sw_free(p.items);
        return r;
}

static int tool_messages(const struct tool *t, struct sw_scenario *s)
{
        FILE *f = t->pt1h ? NULL : strcmp(t->out, "-") == 0 ? stdout : tool_open(t, "messages.ndjson");
        struct sw_scenario_message m;
        uint64_t n = 0;
        int r = 0;

        if (!f && !t->pt1h)
                return tool_fail("messages.ndjson");
        if (f)
                setvbuf(f, NULL, _IOFBF, 1 << 20);
        if (t->shuffle)
                r = tool_shuffled(t, s, f);
        while (r == 0 && !(t->max_bytes && n >= t->max_bytes) && (r = sw_scenario_next(s, &m)) == SW_SCENARIO_OK) {
                n += m.bytes.n;
                if (t->pt1h) {
                        r = tool_write_pt1h(t, &m);
                        continue;
                }
                fwrite(m.bytes.p, 1, m.bytes.n, f);
                fputc('\n', f);
        }
        if (r == SW_SCENARIO_END)
                r = 0;
        if (f && (fflush(f) != 0 || ferror(f)))
                return tool_fail("messages.ndjson");
        if (f && f != stdout)
                fclose(f);
        return r;
}

static int tool_run(struct tool *t)
{
        struct sw_buf b = SW_BUF_NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_scenario *s;
        struct sw_scenario_stats st;
        int r;

        t->conf.single_records = t->pt1h;
        if (sw_scenario_new(&t->conf, &s, &err) < 0) {
                fprintf(stderr, "gen_scenario: %s\n", err.msg);
                return 64;
        }
        sw_scenario_config(s, &b);
        r = tool_write_text(t, "config.yaml", &b);
        b = SW_BUF_NULL;
        sw_scenario_truth(s, &b);
        sw_buf_putc(&b, '\n');
        if (r == 0)
                r = tool_write_text(t, "truth.json", &b);
        if (r == 0)
                r = tool_messages(t, s);
        st = sw_scenario_stats(s);
        if (r == 0)
                fprintf(stderr,
                        "gen_scenario: %llu messages, %llu records, %llu tuples, %llu bytes, %llu connections, at most "
                        "%u open\n",
                        (unsigned long long)st.messages, (unsigned long long)st.records, (unsigned long long)st.tuples,
                        (unsigned long long)st.bytes, (unsigned long long)st.connections, st.max_open_connections);
        sw_scenario_free(s);
        return r ? 1 : 0;
}

enum {
        O_SEED = 1,
        O_HOURS,
        O_MINUTES,
        O_ATTACK_MINUTE,
        O_HOSTS,
        O_LOAD,
        O_POOLED,
        O_ATTACK,
        O_SCAN_HOSTS,
        O_SCAN_GAP,
        O_FANOUT,
        O_SIDES,
        O_FORMAT,
        O_PARTITIONS,
        O_MESSAGE_KB,
        O_MAX_MIB,
        O_PT1H,
        O_SHUFFLE,
        O_WITHIN,
        O_OUT,
        O_HELP
};

static const struct option tool_options[] = {
        { "seed", required_argument, NULL, O_SEED },
        { "hours", required_argument, NULL, O_HOURS },
        { "minutes", required_argument, NULL, O_MINUTES },
        { "attack-minute", required_argument, NULL, O_ATTACK_MINUTE },
        { "hosts", required_argument, NULL, O_HOSTS },
        { "load", required_argument, NULL, O_LOAD },
        { "pooled", required_argument, NULL, O_POOLED },
        { "attack", required_argument, NULL, O_ATTACK },
        { "scan-hosts", required_argument, NULL, O_SCAN_HOSTS },
        { "scan-gap", required_argument, NULL, O_SCAN_GAP },
        { "fanout-hosts", required_argument, NULL, O_FANOUT },
        { "sides", required_argument, NULL, O_SIDES },
        { "format", required_argument, NULL, O_FORMAT },
        { "partitions", required_argument, NULL, O_PARTITIONS },
        { "message-kb", required_argument, NULL, O_MESSAGE_KB },
        { "max-mib", required_argument, NULL, O_MAX_MIB },
        { "pt1h", no_argument, NULL, O_PT1H },
        { "shuffle", required_argument, NULL, O_SHUFFLE },
        { "within", required_argument, NULL, O_WITHIN },
        { "out", required_argument, NULL, O_OUT },
        { "help", no_argument, NULL, O_HELP },
        { NULL, 0, NULL, 0 },
};

static bool tool_number(const char *text, uint64_t max, uint64_t *ret)
{
        return sw_parse_u64(sw_str_of(text), ret) && *ret <= max;
}

static bool tool_message_kb(struct tool *t, const char *text)
{
        unsigned lo, hi;

        if (sscanf(text, "%u:%u", &lo, &hi) != 2 || lo > 4096 || hi > 4096)
                return false;
        t->conf.message_min = lo << 10;
        t->conf.message_max = hi << 10;
        return true;
}

/* False: the value makes no sense. */
static bool tool_option(struct tool *t, int o, const char *arg)
{
        uint64_t v = 0;

        if (o != O_ATTACK && o != O_SIDES && o != O_FORMAT && o != O_MESSAGE_KB && o != O_OUT && o != O_PT1H &&
                !tool_number(arg, o == O_SEED || o == O_SHUFFLE ? UINT64_MAX : UINT32_MAX, &v))
                return false;
        switch (o) {
        case O_SEED:
                t->conf.seed = v;
                return true;
        case O_HOURS:
                t->conf.minutes = (uint32_t)v * 60;
                return v < 5000;
        case O_MINUTES:
                t->conf.minutes = (uint32_t)v;
                return true;
        case O_ATTACK_MINUTE:
                t->conf.attack_minute = (uint32_t)v;
                return true;
        case O_HOSTS:
                t->conf.n_hosts = (uint32_t)v;
                return true;
        case O_LOAD:
                t->conf.load_pct = (uint32_t)v;
                return true;
        case O_POOLED:
                t->conf.pooled = (uint32_t)v;
                return true;
        case O_ATTACK:
                t->conf.attacks = arg;
                return true;
        case O_SCAN_HOSTS:
                t->conf.scan_hosts = (uint32_t)v;
                return true;
        case O_SCAN_GAP:
                t->conf.scan_gap_ms = (uint32_t)v;
                return true;
        case O_FANOUT:
                t->conf.fanout_hosts = (uint32_t)v;
                return true;
        case O_SIDES:
                t->conf.sides = strcmp(arg, "one") == 0 ? SW_SCENARIO_ONE : SW_SCENARIO_BOTH;
                return strcmp(arg, "one") == 0 || strcmp(arg, "both") == 0;
        case O_FORMAT:
                t->conf.format = strcmp(arg, "nsg2") == 0 ? SW_SCENARIO_NSG2 : SW_SCENARIO_VNET;
                return strcmp(arg, "nsg2") == 0 || strcmp(arg, "vnet") == 0;
        case O_PARTITIONS:
                t->conf.n_partitions = (uint32_t)v;
                return true;
        case O_MESSAGE_KB:
                return tool_message_kb(t, arg);
        case O_MAX_MIB:
                t->max_bytes = v << 20;
                return true;
        case O_PT1H:
                t->pt1h = true;
                return true;
        case O_SHUFFLE:
                t->shuffle = true;
                t->shuffle_seed = v;
                return true;
        case O_WITHIN:
                t->within_ms = (int64_t)v * 1000;
                return true;
        case O_OUT:
                t->out = arg;
                return true;
        default:
                return false;
        }
}

int main(int argc, char **argv)
{
        struct tool t = { .conf = sw_scenario_default(), .within_ms = 100000 };
        int o, index = 0;

        while ((o = getopt_long(argc, argv, "", tool_options, &index)) != -1) {
                if (o == O_HELP)
                        return tool_usage(stdout);
                if (o == '?')
                        return tool_usage(stderr);
                if (!tool_option(&t, o, optarg)) {
                        fprintf(stderr, "gen_scenario: --%s: bad value '%s'\n", tool_options[index].name,
                                optarg ? optarg : "");
                        return 64;
                }
        }
        if (!t.out || optind != argc || (t.pt1h && (t.shuffle || strcmp(t.out, "-") == 0)))
                return tool_usage(stderr);
        return tool_run(&t);
}
