/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks as plans: every connection is known before the first message, and so is the truth about it.
 * An attack is a function in the table at the end; steps are the units that a finding must name. */
#include "scenario/scenario_int.h"

#include <stdio.h>
#include <string.h>

struct attack_ctx {
        struct sw_scenario *s;
        const char *name;
        uint64_t rng;
        uint16_t port;
        int64_t at;                  /* start of the attack */
        uint32_t attacker, foothold; /* ends: outside; the first host inside */
};

/* Hosts of a step that are not its actor, without repetition. */
enum { ATTACK_STEP_HOSTS = 4096 };

static int attack_step(struct attack_ctx *c, const char *name, const char *detectors, const char *technique,
        uint32_t actor, const char *what)
{
        struct sw_scenario *s = c->s;

        if (s->n_steps == s->cap_steps) {
                uint32_t n = s->cap_steps ? s->cap_steps * 2 : 16;
                void *p = sw_realloc_array(s->steps, n, sizeof(*s->steps));

                if (!p)
                        return -SW_ERR_NOMEM;
                s->steps = p;
                s->cap_steps = n;
        }
        s->steps[s->n_steps] = (struct scn_step){ .attack = c->name,
                .name = name,
                .what = what,
                .detectors = detectors,
                .technique = technique,
                .actor = s->net.ends[actor].addr,
                .hosts = sw_arena_alloc(&s->arena, ATTACK_STEP_HOSTS * sizeof(struct sw_addr)),
                .first = INT64_MAX,
                .last = INT64_MIN };
        return s->steps[s->n_steps++].hosts ? 0 : -SW_ERR_NOMEM;
}

static void attack_note(struct sw_scenario *s, const struct scn_flow *f)
{
        struct scn_step *step = &s->steps[s->n_steps - 1];
        const struct sw_addr *dst = &s->net.ends[f->dst].addr;
        uint32_t i;

        step->n_flows++;
        if (f->start < step->first)
                step->first = f->start;
        if (f->start + f->duration > step->last)
                step->last = f->start + f->duration;
        for (i = step->n_hosts; i-- > 0;)
                if (sw_addr_cmp(&step->hosts[i], dst) == 0)
                        return;
        if (step->n_hosts < ATTACK_STEP_HOSTS)
                step->hosts[step->n_hosts++] = *dst;
}

/* Adds a connection to the plan and to the current step. */
static int attack_add(struct attack_ctx *c, struct scn_flow f)
{
        struct sw_scenario *s = c->s;

        if (s->n_plan == s->cap_plan) {
                uint32_t n = s->cap_plan ? s->cap_plan * 2 : 256;
                void *p = sw_realloc_array(s->plan, n, sizeof(*s->plan));

                if (!p)
                        return -SW_ERR_NOMEM;
                s->plan = p;
                s->cap_plan = n;
        }
        f.proto = SW_PROTO_TCP;
        f.sport = c->port++;
        s->plan[s->n_plan] = f;
        attack_note(s, &f);
        return sw__scn_timer(s, f.start, SCN_TIMER_PLAN, s->n_plan++);
}

static uint32_t attack_host(const struct attack_ctx *c, unsigned segment, uint32_t i)
{
        uint32_t n = c->s->net.segments[segment].n, e = sw__scn_host(&c->s->net, segment, i);

        /* the foothold is never its own target */
        return e == c->foothold ? sw__scn_host(&c->s->net, segment, i + n / 2 + 1) : e;
}

/* A password found, then a session that lasts. */
static int attack_entry(struct attack_ctx *c, int64_t at, int64_t lasts)
{
        int r = attack_step(c, "entry", "exposed_admin", "T1133", c->attacker,
                    "from the Internet over RDP to a web server, let in by a forgotten rule for a vendor"),
            i;

        for (i = 0; i < 4 && r == 0; i++)
                r = attack_add(c, (struct scn_flow){ .start = at + i * 35000,
                                          .duration = 9000,
                                          .src = c->attacker,
                                          .dst = c->foothold,
                                          .dport = 3389,
                                          .fwd = 2600,
                                          .rev = 3100 });
        if (r == 0)
                r = attack_add(c, (struct scn_flow){ .start = at + 170000,
                                          .duration = lasts,
                                          .src = c->attacker,
                                          .dst = c->foothold,
                                          .dport = 3389,
                                          .fwd = 2400000,
                                          .rev = 61000000,
                                          .shape = 4711 });
        return r;
}

static int attack_scan_step(struct attack_ctx *c, int64_t at, uint32_t n)
{
        int r = attack_step(
                c, "scan", "horizontal_scan", "T1046", c->foothold, "looks for SMB on one server after the other");
        uint32_t i;

        for (i = 0; i < n && r == 0; i++) {
                uint32_t web = c->s->net.segments[SCN_WEB].n - 1, app = c->s->net.segments[SCN_APP].n;
                uint32_t k = i % (web + app), own = c->foothold - c->s->net.segments[SCN_WEB].first;
                uint32_t dst = k < app ? sw__scn_host(&c->s->net, SCN_APP, k)
                                       : sw__scn_host(&c->s->net, SCN_WEB, own + 1 + k - app);
                uint32_t dice = sw__scn_below(&c->rng, 100);

                r = attack_add(c, (struct scn_flow){ .start = at + (int64_t)i * c->s->conf.scan_gap_ms,
                                          .duration = 1500,
                                          .src = c->foothold,
                                          .dst = dst,
                                          .dport = 445,
                                          .fwd = 420,
                                          .rev = 380,
                                          .result = dice < 10   ? SCN_OK
                                                    : dice < 35 ? SCN_REFUSED
                                                                : SCN_NOREPLY });
        }
        return r;
}

static int attack_vertical_step(struct attack_ctx *c, int64_t at)
{
        static const uint16_t ports[] = { 21, 22, 23, 80, 135, 139, 443, 445, 1433, 3306, 3389, 5432, 5900, 5985, 6379,
                8080, 9200 };
        int r = attack_step(
                c, "vertical", "vertical_scan", "T1046", c->foothold, "tries one port after the other of one server");
        uint32_t i;

        for (i = 0; i < sizeof(ports) / sizeof(*ports) && r == 0; i++)
                r = attack_add(c, (struct scn_flow){ .start = at + (int64_t)i * 6000,
                                          .duration = 1500,
                                          .src = c->foothold,
                                          .dst = attack_host(c, SCN_APP, 6),
                                          .dport = ports[i],
                                          .fwd = 420,
                                          .rev = 380,
                                          .result = ports[i] == 135 ? SCN_OK
                                                    : i % 3         ? SCN_NOREPLY
                                                                    : SCN_REFUSED });
        return r;
}

/* Everything here is denied by some NSG: data tiers and management. */
static int attack_denied_step(struct attack_ctx *c, int64_t at)
{
        static const struct {
                uint8_t segment, host;
                uint16_t port;
        } tries[] = { { SCN_DB, 0, 1433 }, { SCN_DB, 1, 1433 }, { SCN_DB, 2, 3389 }, { SCN_DB, 0, 445 },
                { SCN_ERP_DB, 0, 1433 }, { SCN_ERP_DB, 1, 1433 }, { SCN_ERP_DB, 0, 3389 }, { SCN_MGMT, 0, 3389 },
                { SCN_MGMT, 1, 445 }, { SCN_MGMT, 3, 5985 }, { SCN_JUMP, 0, 3389 }, { SCN_JUMP, 1, 3389 },
                { SCN_DB, 2, 5985 }, { SCN_DB, 1, 22 } };
        int r = attack_step(c, "denied", "denied_scan", "T1046", c->foothold,
                "knocks at databases, management and jump hosts, and is denied everywhere");
        uint32_t i;

        for (i = 0; i < sizeof(tries) / sizeof(*tries) && r == 0; i++)
                r = attack_add(c, (struct scn_flow){ .start = at + (int64_t)i * 17000,
                                          .duration = 21000,
                                          .src = c->foothold,
                                          .dst = sw__scn_host(&c->s->net, tries[i].segment, tries[i].host),
                                          .dport = tries[i].port,
                                          .result = SCN_NOREPLY });
        return r;
}

static int attack_fanout_step(struct attack_ctx *c, int64_t at, uint32_t n)
{
        static const uint16_t ports[] = { 3389, 5985, 22 };
        uint16_t port = ports[c->s->conf.seed % 3];
        int r = attack_step(c, "fan-out", "admin_fanout", "T1021", c->foothold,
                "logs in to servers it never administered before, one after the other");
        uint32_t i;

        for (i = 0; i < n && r == 0; i++)
                r = attack_add(c, (struct scn_flow){ .start = at + (int64_t)i * 80000,
                                          .duration = 190000 + (int64_t)i * 7000,
                                          .src = c->foothold,
                                          .dst = attack_host(c, SCN_APP, 2 + i),
                                          .dport = port,
                                          .fwd = 90000 + i * 4000,
                                          .rev = 640000 });
        return r;
}

/* foothold -> application -> application -> database, each session inside the one before, moving the same bursts. */
static int attack_pivot_step(struct attack_ctx *c, int64_t at)
{
        uint32_t n = c->s->net.segments[SCN_APP].n;
        uint32_t hops[4] = { c->foothold, attack_host(c, SCN_APP, n - 2), attack_host(c, SCN_APP, n - 1),
                sw__scn_host(&c->s->net, SCN_DB, c->s->net.segments[SCN_DB].n - 1) };
        static const uint16_t ports[3] = { 3389, 5985, 3389 };
        int r = attack_step(c, "pivot", "pivot_chain", "T1021", c->foothold,
                    "goes through two application servers into the data segment, which a legacy rule lets them "
                    "administer"),
            i;

        for (i = 0; i < 3 && r == 0; i++)
                r = attack_add(c, (struct scn_flow){ .start = at + i * 330000,
                                          .duration = 2700000 - i * 700000,
                                          .src = hops[i],
                                          .dst = hops[i + 1],
                                          .dport = ports[i],
                                          .fwd = 1400000,
                                          .rev = 24000000,
                                          .shape = 90210 });
        return r;
}

static int attack_exposed_rdp(struct attack_ctx *c)
{
        return attack_entry(c, c->at, 40 * SW_MINUTE);
}

static int attack_scan(struct attack_ctx *c)
{
        return attack_scan_step(c, c->at, c->s->conf.scan_hosts);
}

static int attack_vertical(struct attack_ctx *c)
{
        return attack_vertical_step(c, c->at);
}

static int attack_denied_probe(struct attack_ctx *c)
{
        return attack_denied_step(c, c->at);
}

static int attack_admin_fanout(struct attack_ctx *c)
{
        return attack_fanout_step(c, c->at, c->s->conf.fanout_hosts);
}

static int attack_pivot(struct attack_ctx *c)
{
        return attack_pivot_step(c, c->at);
}

static int attack_full(struct attack_ctx *c)
{
        int r = attack_entry(c, c->at, 100 * SW_MINUTE);

        if (r == 0)
                r = attack_scan_step(c, c->at + 8 * SW_MINUTE, c->s->conf.scan_hosts);
        if (r == 0)
                r = attack_denied_step(c, c->at + 16 * SW_MINUTE);
        if (r == 0)
                r = attack_fanout_step(c, c->at + 25 * SW_MINUTE, c->s->conf.fanout_hosts);
        return r == 0 ? attack_pivot_step(c, c->at + 41 * SW_MINUTE) : r;
}

static const struct {
        const char *name;
        int (*plan)(struct attack_ctx *c);
} attack_rows[] = {
        { "admin_fanout", attack_admin_fanout },
        { "denied_probe", attack_denied_probe },
        { "exposed_rdp", attack_exposed_rdp },
        { "full", attack_full },
        { "pivot", attack_pivot },
        { "scan", attack_scan },
        { "vertical", attack_vertical },
};
enum { N_ATTACK_ROWS = sizeof(attack_rows) / sizeof(*attack_rows) };

const char *sw_scenario_attack_names(void)
{
        return "admin_fanout, denied_probe, exposed_rdp, full, pivot, scan, vertical";
}

/* Several attacks of one run have footholds of their own and begin 20 min after each other. */
static int attack_one(struct sw_scenario *s, struct sw_str name, unsigned nth, struct sw_err *reterr)
{
        struct attack_ctx c = { .s = s, .rng = sw__scn_mix(s->conf.seed ^ (0x617474 + nth)) };
        unsigned i;

        for (i = 0; i < N_ATTACK_ROWS; i++)
                if (sw_str_eq(name, sw_str_of(attack_rows[i].name)))
                        break;
        if (i == N_ATTACK_ROWS)
                return sw_err_set(reterr, -SW_ERR_INVAL, "there is no attack '%.*s'; there are %s", (int)name.n, name.p,
                        sw_scenario_attack_names());
        c.name = attack_rows[i].name;
        c.port = (uint16_t)(50000 + nth * 1500);
        c.at = s->stats.attack.ms + (int64_t)nth * 20 * SW_MINUTE;
        c.attacker = s->net.pools[SCN_POOL_ATTACKER].first + nth % s->net.pools[SCN_POOL_ATTACKER].n;
        c.foothold = s->net.exposed;
        if (nth && strcmp(c.name, "full") != 0 && strcmp(c.name, "exposed_rdp") != 0)
                c.foothold = sw__scn_host(&s->net, SCN_WEB, s->net.exposed - s->net.segments[SCN_WEB].first + nth);
        return attack_rows[i].plan(&c) < 0 ? sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory") : 0;
}

int sw__scn_attack_init(struct sw_scenario *s, const char *names, struct sw_err *reterr)
{
        struct sw_str rest = sw_str_of(names);
        unsigned nth = 0;
        int r = 0;

        while (rest.n && r == 0) {
                const char *comma = memchr(rest.p, ',', rest.n);
                struct sw_str name = { rest.p, comma ? (size_t)(comma - rest.p) : rest.n };

                rest.p += name.n + (comma != NULL);
                rest.n -= name.n + (comma != NULL);
                if (name.n && !sw_str_eq(name, SW_STR("none")))
                        r = attack_one(s, name, nth++, reterr);
        }
        return r;
}
