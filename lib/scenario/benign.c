/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts do all day. A habit is a row of the table below, done again and again by one host with a random stream of
 * its own; administrators, backup, scanner and deployment are habits that open several connections at a time.
 * Things that mislead naive rules are here on purpose: an application that retries one denied tuple, a server that is
 * configured with a dead address, drives mapped to a file server that is gone, probes of the load balancer, a
 * vulnerability scanner, a monitor that visits everybody, and the Internet knocking at every published address. */
#include "scenario/scenario_int.h"

enum { HABIT_PEER = 0x100 /* the same segment's next host */ };
enum habit_kind {
        HABIT_PLAIN,
        HABIT_NOISE,
        HABIT_MONITOR,
        HABIT_BACKUP,
        HABIT_SCANNER,
        HABIT_DEPLOY,
        HABIT_ADMIN,
        HABIT_RPC
};
enum habit_hours { HABIT_ALWAYS, HABIT_OFFICE /* 08-18 UTC; a tenth of it at other times */ };
enum habit_who { HABIT_ALL, HABIT_FIRST /* host 0 of the segment */, HABIT_SECOND, HABIT_FEW /* every eighth */ };

struct habit_row {
        uint8_t kind, from, who, hours;
        uint16_t to;     /* segment, or pool + HABIT_POOL */
        uint8_t n_peers; /* fixed ones, chosen by the host's number; 0 = anybody each time */
        uint8_t proto, fail_permille;
        uint16_t dport, interval_s;
        uint32_t duration_s; /* up to; 0 = begins and ends in the same millisecond */
        uint32_t fwd, rev;   /* payload up to */
};
#define HABIT_POOL 0x200
#define HABIT_DEAD_APP 0x300
#define HABIT_DEAD_FILES 0x301
#define HABIT_PLATFORM 0x302 /* as the source */

static const struct habit_row habit_rows[] = {
        /* kind, from, who, hours, to, peers, proto, fail, port, every, lasts, bytes there, bytes back */
        { HABIT_PLAIN, SCN_WEB, HABIT_ALL, HABIT_OFFICE, HABIT_POOL | SCN_POOL_VISITORS, 0, 6, 0, 443, 60, 90, 20000,
                400000 },
        { HABIT_PLAIN, SCN_WEB, HABIT_ALL, HABIT_ALWAYS, HABIT_PLATFORM, 0, 6, 0, 443, 240, 0, 200, 300 },
        { HABIT_NOISE, SCN_WEB, HABIT_ALL, HABIT_ALWAYS, HABIT_POOL | SCN_POOL_NOISE, 0, 6, 0, 0, 90, 0, 0, 0 },
        { HABIT_PLAIN, SCN_WEB, HABIT_ALL, HABIT_ALWAYS, SCN_APP, 4, 6, 2, 8443, 150, 120, 60000, 300000 },
        { HABIT_PLAIN, SCN_APP, HABIT_ALL, HABIT_ALWAYS, SCN_DB, 2, 6, 1, 1433, 900, 3000, 900000, 9000000 },
        { HABIT_PLAIN, SCN_APP, HABIT_ALL, HABIT_ALWAYS, SCN_PAAS, 3, 6, 2, 443, 420, 20, 60000, 60000 },
        { HABIT_PLAIN, SCN_APP, HABIT_FIRST, HABIT_ALWAYS, SCN_ERP_DB, 1, 6, 0, 1433, 30, 0, 0, 0 }, /* denied */
        { HABIT_PLAIN, SCN_APP, HABIT_SECOND, HABIT_ALWAYS, HABIT_DEAD_APP, 1, 6, 0, 8443, 30, 0, 0, 0 },
        { HABIT_PLAIN, SCN_DB, HABIT_ALL, HABIT_ALWAYS, HABIT_PEER, 1, 6, 0, 5022, 3600, 7000, 40000000, 4000000 },
        { HABIT_PLAIN, SCN_ERP_APP, HABIT_ALL, HABIT_ALWAYS, SCN_ERP_DB, 2, 6, 1, 1433, 1200, 3000, 900000, 9000000 },
        { HABIT_PLAIN, SCN_AVD, HABIT_ALL, HABIT_OFFICE, HABIT_POOL | SCN_POOL_SITES, 0, 6, 8, 443, 200, 200, 30000,
                900000 },
        { HABIT_PLAIN, SCN_AVD, HABIT_ALL, HABIT_OFFICE, SCN_WEB, 3, 6, 1, 443, 900, 120, 20000, 300000 },
        { HABIT_PLAIN, SCN_AVD, HABIT_ALL, HABIT_OFFICE, SCN_ERP_APP, 2, 6, 1, 443, 1200, 600, 60000, 600000 },
        { HABIT_PLAIN, SCN_AVD, HABIT_ALL, HABIT_OFFICE, SCN_FILES, 2, 6, 0, 445, 2400, 1800, 2000000, 9000000 },
        { HABIT_PLAIN, SCN_AVD, HABIT_FEW, HABIT_OFFICE, HABIT_DEAD_FILES, 1, 6, 0, 445, 600, 0, 0, 0 },
        { HABIT_PLAIN, SCN_AVD, HABIT_ALL, HABIT_ALWAYS, SCN_MGMT, 0xff, 6, 0, 8530, 14400, 60, 20000, 9000000 },
        { HABIT_PLAIN, SCN_ONPREM, HABIT_ALL, HABIT_OFFICE, SCN_ERP_APP, 2, 6, 2, 443, 600, 300, 60000, 600000 },
        { HABIT_PLAIN, SCN_ONPREM, HABIT_FEW, HABIT_ALWAYS, SCN_IDENTITY, 2, 6, 0, 389, 1800, 10, 3000, 20000 },
        { HABIT_PLAIN, SCN_IDENTITY, HABIT_ALL, HABIT_ALWAYS, HABIT_PEER, 1, 6, 0, 389, 900, 300, 30000, 30000 },
        { HABIT_MONITOR, SCN_MGMT, HABIT_FIRST, HABIT_ALWAYS, 0, 0, 6, 0, 5985, 600, 2, 1500, 6000 },
        { HABIT_BACKUP, SCN_MGMT, HABIT_SECOND, HABIT_ALWAYS, 0, 0, 6, 0, 445, 3600, 600, 400000, 900000000 },
        { HABIT_SCANNER, SCN_MGMT, HABIT_ALL, HABIT_ALWAYS, 0, 0, 6, 0, 0, 3600, 0, 0, 0 },
        { HABIT_DEPLOY, SCN_MGMT, HABIT_ALL, HABIT_ALWAYS, SCN_APP, 0, 6, 0, 22, 3600, 60, 3000000, 20000 },
        { HABIT_ADMIN, SCN_AVD, HABIT_ALL, HABIT_OFFICE, SCN_JUMP, 1, 6, 0, 3389, 7200, 5400, 900000, 30000000 },
};
enum { N_HABIT_ROWS = sizeof(habit_rows) / sizeof(*habit_rows) };

/* What every logged domain member does besides; `from` is not read. */
static const struct habit_row member_rows[] = {
        { HABIT_PLAIN, 0, HABIT_ALL, HABIT_ALWAYS, SCN_IDENTITY, 2, 17, 1, 53, 400, 0, 60, 180 },
        { HABIT_PLAIN, 0, HABIT_ALL, HABIT_ALWAYS, SCN_IDENTITY, 1, 6, 0, 88, 3600, 1, 2000, 2500 },
        { HABIT_PLAIN, 0, HABIT_ALL, HABIT_ALWAYS, SCN_IDENTITY, 1, 6, 0, 389, 3600, 5, 3000, 20000 },
        { HABIT_PLAIN, 0, HABIT_ALL, HABIT_ALWAYS, SCN_IDENTITY, 1, 17, 0, 123, 3600, 0, 48, 48 },
        { HABIT_PLAIN, 0, HABIT_ALL, HABIT_ALWAYS, SCN_IDENTITY, 1, 6, 0, 445, 5400, 20, 5000, 60000 },
        { HABIT_RPC, 0, HABIT_ALL, HABIT_ALWAYS, SCN_IDENTITY, 1, 6, 0, 135, 7200, 5, 3000, 9000 },
        { HABIT_PLAIN, 0, HABIT_ALL, HABIT_ALWAYS, HABIT_POOL | SCN_POOL_UPDATES, 6, 6, 3, 443, 1800, 60, 20000,
                900000 },
};
enum { N_MEMBER_ROWS = sizeof(member_rows) / sizeof(*member_rows) };

enum {
        HABIT_ADMINS = 3,
        HABIT_ADMIN_SERVERS = 6,
        HABIT_BACKUP_HOUR = 1,
        HABIT_SCANNER_HOUR = 3,
        HABIT_DEPLOY_HOUR = 10
};

static const struct habit_row *habit_row_of(unsigned row)
{
        return row < N_HABIT_ROWS ? &habit_rows[row] : &member_rows[row - N_HABIT_ROWS];
}

static unsigned habit_hour(int64_t now)
{
        return (unsigned)(now / SW_HOUR % 24);
}

static bool habit_office(int64_t now)
{
        unsigned h = habit_hour(now),
                 day = (unsigned)((now / SW_DAY + 4) % 7); /* 1970-01-01 was a Thursday; 0 = Sunday */

        return h >= 8 && h < 18 && day != 0 && day != 6;
}

static int habit_add(struct sw_scenario *s, unsigned row, uint32_t src, uint32_t pooled)
{
        const struct habit_row *r = habit_row_of(row);
        struct scn_habit *h;

        if (s->n_habits == s->cap_habits) {
                uint32_t n = s->cap_habits ? s->cap_habits * 2 : 1024;
                void *p = sw_realloc_array(s->habits, n, sizeof(*s->habits));

                if (!p)
                        return -SW_ERR_NOMEM;
                s->habits = p;
                s->cap_habits = n;
        }
        h = &s->habits[s->n_habits];
        *h = (struct scn_habit){

                .rng = sw__scn_mix(s->conf.seed ^ (uint64_t)src << 16 ^ (row + 1) ^ (uint64_t)pooled << 48),
                .src = src,
                .row = (uint16_t)row,
                .pooled = pooled > 0,
        };
        h->port = (uint16_t)sw__scn_below(&h->rng, 16384);
        /* all begin within their first interval, long ones within the first hour, so that a day's life is seen early */
        return sw__scn_timer(s,
                s->conf.start.ms + sw__scn_below(&h->rng, (r->interval_s < 3600 ? r->interval_s : 3600u) * 1000u),
                SCN_TIMER_HABIT, s->n_habits++);
}

static bool habit_has(const struct habit_row *r, uint32_t i)
{
        if (r->kind == HABIT_SCANNER)
                return i == SCN_SCANNER;
        if (r->kind == HABIT_DEPLOY)
                return i == SCN_DEPLOY;
        if (r->kind == HABIT_ADMIN)
                return i < HABIT_ADMINS;
        return r->who == HABIT_ALL || (r->who == HABIT_FIRST && i == 0) || (r->who == HABIT_SECOND && i == 1) ||
               (r->who == HABIT_FEW && i % 8 == 5);
}

/* What a host pools connections for: the first plain habit of its segment towards another one, else updates. */
static unsigned habit_pooled_row(uint32_t segment)
{
        unsigned row;

        for (row = 0; row < N_HABIT_ROWS; row++)
                if (habit_rows[row].kind == HABIT_PLAIN && habit_rows[row].from == segment && habit_rows[row].n_peers &&
                        habit_rows[row].duration_s && habit_rows[row].to < SCN_N_SEGMENTS)
                        return row;
        return N_HABIT_ROWS + N_MEMBER_ROWS - 1;
}

int sw__scn_benign_init(struct sw_scenario *s)
{
        uint32_t row, i, segment;
        int r = 0;

        for (row = 0; row < N_HABIT_ROWS; row++) {
                const struct scn_group *g = &s->net.segments[habit_rows[row].from];

                for (i = 0; i < g->n && r == 0; i++)
                        if (habit_has(&habit_rows[row], i))
                                r = habit_add(s, row, g->first + i, 0);
        }
        for (segment = 0; segment < SCN_N_SEGMENTS; segment++) {
                const struct scn_group *g = &s->net.segments[segment];

                if (segment == SCN_IDENTITY || segment == SCN_PAAS || segment == SCN_ONPREM)
                        continue;
                for (i = 0; i < g->n; i++)
                        for (row = 1; row <= s->conf.pooled && r == 0; row++)
                                r = habit_add(s, habit_pooled_row(segment), g->first + i, row);
                for (i = 0; i < g->n; i++)
                        for (row = 0; row < N_MEMBER_ROWS && r == 0; row++)
                                r = habit_add(s, N_HABIT_ROWS + row, g->first + i, 0);
        }
        return r;
}

/* A five-tuple comes back only after 16384 others of the same habit. */
static uint16_t habit_port(struct scn_habit *h)
{
        return (uint16_t)(49152 + h->port++ % 16384);
}

static uint32_t habit_peer(const struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r)
{
        const struct scn_group *g;
        uint32_t own, k;

        if (r->to == HABIT_DEAD_APP)
                return s->net.dead_app;
        if (r->to == HABIT_DEAD_FILES)
                return s->net.dead_files;
        if (r->to == HABIT_PEER) {
                g = &s->net.segments[s->net.ends[h->src].segment];
                own = h->src - g->first;
                return g->first + (own ^ 1) % g->n;
        }
        g = r->to & HABIT_POOL ? &s->net.pools[r->to & 0xff] : &s->net.segments[r->to];
        if (r->n_peers == 0xff)
                return g->first + SCN_PATCH;
        k = r->n_peers ? (uint32_t)(sw__scn_mix(h->src * 977u + sw__scn_below(&h->rng, r->n_peers) + r->dport) >> 32)
                       : (uint32_t)sw__scn_skewed(&h->rng, 0, g->n);
        return g->first + k % g->n;
}

static struct scn_flow habit_flow(struct scn_habit *h, const struct habit_row *r, int64_t now, uint32_t dst)
{
        struct scn_flow f = {
                .start = now, .src = h->src, .dst = dst, .sport = habit_port(h), .dport = r->dport, .proto = r->proto
        };

        if (r->duration_s)
                f.duration = (int64_t)sw__scn_skewed(&h->rng, 20, r->duration_s * 1000u);
        if (f.duration > 5 * SW_MINUTE) /* long enough to be seen in parts: bursts of its own */
                f.shape = 1 + sw__scn_below(&h->rng, UINT32_MAX - 1);
        f.fwd = sw__scn_skewed(&h->rng, r->fwd / 8 + 1, r->fwd + 2);
        f.rev = sw__scn_skewed(&h->rng, r->rev / 8 + 1, r->rev + 2);
        if (sw__scn_below(&h->rng, 1000) < r->fail_permille)
                f.result = SCN_NOREPLY;
        return f;
}

static int habit_plain(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now)
{
        bool inbound = r->to == HABIT_PLATFORM || r->to == (HABIT_POOL | SCN_POOL_VISITORS);
        struct scn_flow f;
        uint32_t peer;

        if (r->to == HABIT_PLATFORM) {
                f = habit_flow(h, r, now, h->src);
                f.src = s->net.platform;
                return sw__scn_open(s, &f);
        }
        peer = habit_peer(s, h, r);
        if (peer == h->src)
                return 0;
        f = habit_flow(h, r, now, peer);
        if (r->to == HABIT_DEAD_APP || r->to == HABIT_DEAD_FILES)
                f.result = SCN_NOREPLY;
        if (inbound) {
                f.src = peer;
                f.dst = h->src;
        } else if (s->conf.format == SW_SCENARIO_VNET && r->from == SCN_WEB && r->to == SCN_APP && f.sport % 8 == 0) {
                const struct scn_group *a = &s->net.segments[SCN_WEB], *b = &s->net.segments[SCN_APP];

                f.src = a->first6 + (f.src - a->first);
                f.dst = b->first6 + (f.dst - b->first);
        }
        return sw__scn_open(s, &f);
}

static int habit_noise(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now)
{
        static const uint16_t ports[] = { 22, 23, 80, 445, 1433, 2375, 3306, 3389, 5060, 5900, 6379, 8080, 8443, 8728,
                9200 };
        struct scn_flow f = habit_flow(h, r, now, h->src);

        f.src = habit_peer(s, h, r);
        f.dport = sw__scn_below(&h->rng, 3) ? ports[sw__scn_below(&h->rng, sizeof(ports) / sizeof(*ports))]
                                            : (uint16_t)(1024 + sw__scn_below(&h->rng, 60000));
        f.fwd = f.rev = 120;
        if (sw__scn_below(&h->rng, 16) == 0)
                f.result = SCN_STRAY;
        return sw__scn_open(s, &f);
}

/* Endpoint mapper, then the dynamic port it named. */
static int habit_rpc(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now)
{
        struct scn_flow f = habit_flow(h, r, now, habit_peer(s, h, r));
        int e = sw__scn_open(s, &f);

        if (e < 0)
                return e;
        f.start = now + 40;
        f.sport = habit_port(h);
        f.dport = (uint16_t)(49664 + f.dst % 8);
        return sw__scn_open(s, &f);
}

/* One connection to each logged host of some segments, `gap_ms` apart. */
static int habit_tour(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now,
        unsigned last_segment, uint32_t gap_ms)
{
        unsigned segment;
        uint32_t i;
        int e = 0;

        for (segment = 0; segment <= last_segment; segment++) {
                const struct scn_group *g = &s->net.segments[segment];

                for (i = 0; i < g->n && e == 0; i++) {
                        struct scn_flow f = habit_flow(h, r, now, g->first + i);

                        if (s->net.ends[g->first + i].nic == SCN_NO_NIC || g->first + i == h->src)
                                continue;
                        now += gap_ms;
                        e = sw__scn_open(s, &f);
                }
        }
        return e;
}

/* All servers, the ports of a credentialed scan; most are closed. */
static int habit_scanner(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now)
{
        static const uint16_t ports[] = { 21, 22, 23, 25, 80, 135, 139, 443, 445, 1433, 3306, 3389, 5432, 5985, 8080,
                8443 };
        unsigned segment, k;
        uint32_t i;
        int e = 0;

        for (segment = 0; segment <= SCN_IDENTITY; segment++)
                for (i = 0; i < s->net.segments[segment].n; i++)
                        for (k = 0; k < sizeof(ports) / sizeof(*ports) && e == 0; k++) {
                                struct scn_flow f = habit_flow(h, r, now, s->net.segments[segment].first + i);

                                f.dport = ports[k];
                                f.result = k % 4 == 3 ? SCN_OK : k % 4 == 1 ? SCN_REFUSED : SCN_NOREPLY;
                                f.duration = 300;
                                f.fwd = f.rev = 400;
                                now += 150;
                                e = sw__scn_open(s, &f);
                        }
        return e;
}

static int habit_deploy(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now)
{
        uint32_t i, n = s->net.segments[SCN_APP].n;
        int e = 0;

        for (i = 0; i < n && i < 40 && e == 0; i++) {
                struct scn_flow f = habit_flow(h, r, now + i * 9000, s->net.segments[SCN_APP].first + i);

                f.duration += 5000;
                e = sw__scn_open(s, &f);
        }
        return e;
}

/* Where an administrator goes: mostly one of a few servers that are his, each by the protocol it has. */
static void habit_admin_target(struct sw_scenario *s, struct scn_habit *h, struct scn_flow *f)
{
        static const uint8_t where[] = { SCN_WEB, SCN_APP, SCN_APP, SCN_DB, SCN_ERP_APP, SCN_FILES, SCN_IDENTITY };
        static const uint16_t ports[] = { 3389, 3389, 22, 5985 };
        uint32_t k = sw__scn_below(&h->rng, HABIT_ADMIN_SERVERS);
        uint64_t server = sw__scn_mix((uint64_t)h->src * 131 + k);

        if (sw__scn_below(&h->rng, 24) == 0)
                server = sw__scn_next(&h->rng);
        f->dst = sw__scn_host(&s->net, where[server % sizeof(where)], (uint32_t)(server >> 32));
        f->dport = ports[sw__scn_mix(f->dst) % 4];
}

/* A working session: RDP to a jump host, from there to a few servers while it lasts. */
static int habit_admin(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now)
{
        uint32_t jump = habit_peer(s, h, r), n = 2 + sw__scn_below(&h->rng, 4), i;
        struct scn_flow f = habit_flow(h, r, now, jump);
        int e;

        f.duration = (int64_t)(1800 + sw__scn_below(&h->rng, 3600)) * 1000;
        f.fwd += 300000;
        f.rev += 3000000;
        f.shape = 1 + sw__scn_below(&h->rng, 1000000);
        e = sw__scn_open(s, &f);
        for (i = 0; i < n && e == 0; i++) {
                struct scn_flow g = f;

                g.src = jump;
                g.sport = habit_port(h);
                habit_admin_target(s, h, &g);
                g.start = now + 60000 + sw__scn_below(&h->rng, (uint32_t)f.duration / 2);
                g.duration = 120000 + sw__scn_below(&h->rng, (uint32_t)f.duration / 3);
                g.fwd = sw__scn_skewed(&h->rng, 40000, 900000);
                g.rev = sw__scn_skewed(&h->rng, 90000, 9000000);
                g.shape = 1 + sw__scn_below(&h->rng, 1000000);
                e = sw__scn_open(s, &g);
        }
        return e;
}

static int habit_do(struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, int64_t now)
{
        switch (r->kind) {
        case HABIT_PLAIN:
                return habit_plain(s, h, r, now);
        case HABIT_NOISE:
                return habit_noise(s, h, r, now);
        case HABIT_RPC:
                return habit_rpc(s, h, r, now);
        case HABIT_MONITOR:
                return habit_tour(s, h, r, now, SCN_AVD, 500000 / (s->net.n_nics + 1) + 1);
        case HABIT_BACKUP:
                return habit_hour(now) == HABIT_BACKUP_HOUR ? habit_tour(s, h, r, now, SCN_IDENTITY, 20000) : 0;
        case HABIT_SCANNER:
                return habit_hour(now) == HABIT_SCANNER_HOUR ? habit_scanner(s, h, r, now) : 0;
        case HABIT_DEPLOY:
                return habit_hour(now) == HABIT_DEPLOY_HOUR ? habit_deploy(s, h, r, now) : 0;
        case HABIT_ADMIN:
                return habit_office(now) ? habit_admin(s, h, r, now) : 0;
        }
        return 0;
}

/* Opens one that lasts two to six hours, and the next one when it ends. */
static int habit_pool(
        struct sw_scenario *s, struct scn_habit *h, const struct habit_row *r, uint32_t index, int64_t now)
{
        uint32_t peer = habit_peer(s, h, r);
        struct scn_flow f = habit_flow(h, r, now, peer);
        int e;

        f.duration = (int64_t)(7200 + sw__scn_below(&h->rng, 14400)) * 1000;
        f.shape = 0;
        f.result = SCN_OK;
        e = peer == h->src ? 0 : sw__scn_open(s, &f);
        return e < 0 ? e : sw__scn_timer(s, now + f.duration + 5000, SCN_TIMER_HABIT, index);
}

int sw__scn_habit_fire(struct sw_scenario *s, uint32_t index, int64_t now)
{
        struct scn_habit *h = &s->habits[index];
        const struct habit_row *r = habit_row_of(h->row);
        uint64_t interval = (uint64_t)r->interval_s * 1000;
        int e = 0;

        if (h->pooled)
                return habit_pool(s, h, r, index, now);
        if (r->kind != HABIT_PLAIN && r->kind != HABIT_NOISE && r->kind != HABIT_RPC) { /* by the clock, not by load */
                e = habit_do(s, h, r, now);
                return e < 0 ? e : sw__scn_timer(s, now + (int64_t)interval, SCN_TIMER_HABIT, index);
        }
        if (r->hours == HABIT_ALWAYS || habit_office(now) || sw__scn_below(&h->rng, 10) == 0)
                e = habit_do(s, h, r, now);
        interval = interval * 100 / s->conf.load_pct;
        interval = interval / 4 + sw__scn_next(&h->rng) % (interval * 3 / 2 + 1) + 1;
        return e < 0 ? e : sw__scn_timer(s, now + (int64_t)interval, SCN_TIMER_HABIT, index);
}
