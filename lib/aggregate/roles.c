/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/roles.h"

#define ROLE_KEY_BYTES 6
#define FANOUT_KEY_BYTES 5
#define FANOUT_SPANS 4u
#define FANOUT_SPAN_DAYS 10u
#define ADMIN_TTL_DAYS 30u

enum role_tag { ROLE_SERVER = 1, ROLE_ADMIN };

struct role_row {
        uint32_t host;
        uint8_t class, tag;
        uint8_t n, pad;
        uint32_t peers[SW_ROLES_CLIENTS];
        uint16_t last_day, pad2;
        uint32_t days; /* bit i: seen on last_day - i */
        uint32_t pad3;
};

struct fanout_row {
        uint32_t host;
        uint8_t class;
        uint8_t n;            /* entries of `recent` in use */
        uint16_t today_max;   /* not yet part of what is normal */
        uint16_t today, span; /* day; newest ten-day span in `max` */
        uint16_t max[FANOUT_SPANS];
        uint16_t n_over; /* destinations beyond the exact ones since over_sec */
        uint16_t pad;
        uint32_t over_sec;
        struct {
                uint32_t dst, sec;
        } recent[SW_ROLES_FANOUT_EXACT];
        uint32_t pad2;
};

static const struct sw_table_spec progress_spec = {
        .name = "roles", .version = 1, .entry_size = sizeof(struct role_row), .key_size = ROLE_KEY_BYTES
};
static const struct sw_table_spec fanout_spec = {
        .name = "fanout", .version = 1, .entry_size = sizeof(struct fanout_row), .key_size = FANOUT_KEY_BYTES
};

int sw_roles_init(struct sw_roles *r, size_t progress_bytes, size_t fanout_bytes, const struct sw_hash_key *key)
{
        int e;

        *r = (struct sw_roles){ 0 };
        e = sw_table_init(&r->progress, &progress_spec, progress_bytes, key, NULL);
        return e < 0 ? e : sw_table_init(&r->fanout, &fanout_spec, fanout_bytes, key, NULL);
}

void sw_roles_deinit(struct sw_roles *r)
{
        sw_table_deinit(&r->progress);
        sw_table_deinit(&r->fanout);
}

static struct role_row *role_note(
        struct sw_roles *r, uint32_t host, enum sw_service service, enum role_tag tag, uint32_t peer)
{
        struct role_row key = { .host = host, .class = (uint8_t)service, .tag = (uint8_t)tag }, *row;
        bool created;
        unsigned i;

        row = sw_table_insert(&r->progress, &key, &created);
        if (!row || row->n == SW_ROLES_CLIENTS)
                return row;
        for (i = 0; i < row->n; i++)
                if (row->peers[i] == peer)
                        return row;
        row->peers[row->n++] = peer;
        return row;
}

static void role_day(struct role_row *row, uint32_t today)
{
        if (row->days == 0) {
                row->last_day = (uint16_t)today;
                row->days = 1;
        } else if (today > row->last_day) {
                uint32_t step = today - row->last_day;

                row->days = (step < 32 ? row->days << step : 0) | 1;
                row->last_day = (uint16_t)today;
        } else if (row->last_day - today < 32) {
                row->days |= UINT32_C(1) << (row->last_day - today);
        }
}

static void learn_server(struct sw_roles *r, const struct sw_host *src, struct sw_host *dst, enum sw_service service)
{
        const uint32_t dc =
                UINT32_C(1) << SW_SERVICE_KRB | UINT32_C(1) << SW_SERVICE_LDAP | UINT32_C(1) << SW_SERVICE_SMB;
        const struct role_row *row;

        if (dst->served >> service & 1)
                return;
        row = role_note(r, dst->serial, service, ROLE_SERVER, src->serial);
        if (!row || row->n < SW_ROLES_CLIENTS)
                return;
        dst->served |= UINT32_C(1) << service;
        if ((dst->served & dc) == dc)
                dst->learned_roles |= SW_HOST_ROLE(DC);
}

/* Days that ended go into the maximum of their ten-day span. */
static void fanout_roll(struct fanout_row *f, uint32_t today)
{
        uint32_t span = today / FANOUT_SPAN_DAYS, i;

        if (today <= f->today)
                return;
        for (i = f->span; i < span && i < f->span + FANOUT_SPANS; i++)
                f->max[(i + 1) % FANOUT_SPANS] = 0;
        f->span = (uint16_t)span;
        if (f->today / FANOUT_SPAN_DAYS + FANOUT_SPANS > span && f->today_max > f->max[f->today / FANOUT_SPAN_DAYS % 4])
                f->max[f->today / FANOUT_SPAN_DAYS % FANOUT_SPANS] = f->today_max;
        f->today = (uint16_t)today;
        f->today_max = 0;
}

static void learn_fanout(struct sw_roles *r, uint32_t src, uint32_t dst, enum sw_service service, struct sw_etime now)
{
        struct fanout_row key = { .host = src, .class = (uint8_t)service }, *f;
        uint32_t sec = (uint32_t)(now.ms / SW_SECOND), window = (uint32_t)(SW_ROLES_FANOUT_MS / SW_SECOND), i, n, width;
        bool created, known = false;

        f = sw_table_insert(&r->fanout, &key, &created);
        if (!f)
                return;
        if (created) {
                f->today = (uint16_t)sw_etime_day(now);
                f->span = (uint16_t)(f->today / FANOUT_SPAN_DAYS);
        }
        fanout_roll(f, sw_etime_day(now));
        for (i = n = 0; i < f->n; i++) {
                if (f->recent[i].sec + window <= sec)
                        continue;
                f->recent[n] = f->recent[i];
                if (f->recent[n].dst == dst) {
                        f->recent[n].sec = sec > f->recent[n].sec ? sec : f->recent[n].sec;
                        known = true;
                }
                n++;
        }
        if (f->n_over && f->over_sec + window <= sec)
                f->n_over = 0;
        if (!known && n < SW_ROLES_FANOUT_EXACT) {
                f->recent[n].dst = dst;
                f->recent[n++].sec = sec;
        } else if (!known && f->n_over < UINT16_MAX / 2) {
                if (f->n_over++ == 0)
                        f->over_sec = sec;
        }
        f->n = (uint8_t)n;
        width = n + f->n_over;
        if (width > f->today_max)
                f->today_max = (uint16_t)width;
}

void sw_roles_learn(struct sw_roles *r, const struct sw_host *src, struct sw_host *dst, enum sw_service service,
        struct sw_etime now)
{
        struct role_row *row;

        learn_server(r, src, dst, service);
        if (!sw_service_is_admin(service))
                return;
        row = role_note(r, src->serial, service, ROLE_ADMIN, dst->serial);
        if (row)
                role_day(row, sw_etime_day(now));
        learn_fanout(r, src->serial, dst->serial, service, now);
}

struct sw_roles_ahead sw_roles_prefetch(const struct sw_roles *r, uint32_t src_serial, enum sw_service service)
{
        struct role_row role = { .host = src_serial, .class = (uint8_t)service, .tag = ROLE_ADMIN };
        struct fanout_row fanout = { .host = src_serial, .class = (uint8_t)service };
        struct sw_roles_ahead a = { sw_table_hash(&r->progress, &role), sw_table_hash(&r->fanout, &fanout) };

        sw_table_prefetch(&r->progress, a.role);
        sw_table_prefetch(&r->fanout, a.fanout);
        return a;
}

void sw_roles_prefetch_entries(const struct sw_roles *r, const struct sw_roles_ahead *a)
{
        sw_table_prefetch_entry(&r->progress, a->role);
        sw_table_prefetch_entry(&r->fanout, a->fanout);
}

bool sw_roles_is_admin(struct sw_roles *r, uint32_t src_serial, enum sw_service service, struct sw_etime now)
{
        struct role_row key = { .host = src_serial, .class = (uint8_t)service, .tag = ROLE_ADMIN };
        const struct role_row *row = sw_table_find(&r->progress, &key);
        uint32_t today = sw_etime_day(now);

        if (!row || row->n < SW_ROLES_CLIENTS || (today > row->last_day && today - row->last_day > ADMIN_TTL_DAYS))
                return false;
        return (unsigned)__builtin_popcount(row->days) >= SW_ROLES_ADMIN_DAYS;
}

uint32_t sw_roles_fanout_max(struct sw_roles *r, uint32_t src_serial, enum sw_service service, struct sw_etime now)
{
        struct fanout_row key = { .host = src_serial, .class = (uint8_t)service }, *f;
        uint32_t max = 0, i;

        f = sw_table_find(&r->fanout, &key);
        if (!f)
                return 0;
        fanout_roll(f, sw_etime_day(now));
        for (i = 0; i < FANOUT_SPANS; i++)
                max = f->max[i] > max ? f->max[i] : max;
        return max;
}
