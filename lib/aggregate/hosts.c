/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/hosts.h"

#define HOST_KEY_BYTES 24

static const struct sw_table_spec internal_spec = {
        .name = "hosts", .version = 2, .entry_size = sizeof(struct sw_host), .key_size = HOST_KEY_BYTES
};
static const struct sw_table_spec internet_spec = {
        .name = "hosts_internet", .version = 2, .entry_size = sizeof(struct sw_host), .key_size = HOST_KEY_BYTES
};

_Static_assert(
        offsetof(struct sw_host_probe, hash) == HOST_KEY_BYTES && offsetof(struct sw_host, segment) == HOST_KEY_BYTES,
        "the key stands first");

int sw_hosts_init(struct sw_hosts *h, struct sw_segs *segs, size_t internal_bytes, size_t internet_bytes,
        const struct sw_hash_key *key)
{
        int r;

        *h = (struct sw_hosts){ .segs = segs };
        r = sw_table_init(&h->internal, &internal_spec, internal_bytes, key, NULL);
        return r < 0 ? r : sw_table_init(&h->internet, &internet_spec, internet_bytes, key, NULL);
}

void sw_hosts_deinit(struct sw_hosts *h)
{
        sw_table_deinit(&h->internal);
        sw_table_deinit(&h->internet);
}

/* Multicast and its like can be forged from outside as well as public addresses. */
static bool is_internet(enum sw_addr_class c)
{
        return c == SW_ADDR_PUBLIC || c == SW_ADDR_SPECIAL;
}

uint32_t sw_hosts_digest(const struct sw_host *h)
{
        static const struct sw_hash_key fixed = { UINT64_C(0x7365677761746368), UINT64_C(0x70616972732e6864) };

        return (uint32_t)sw_siphash(&fixed, h, HOST_KEY_BYTES);
}

static void hosts_resolve(struct sw_hosts *h, struct sw_host *host)
{
        host->segment = sw_segs_resolve(h->segs, host->realm, &host->addr);
        host->pinned_roles = sw_segments_host_roles(h->segs->conf, &host->addr);
}

static struct sw_table *hosts_table(struct sw_hosts *h, bool internet)
{
        return internet ? &h->internet : &h->internal;
}

struct sw_host_probe sw_hosts_probe(const struct sw_hosts *h, uint16_t realm, const struct sw_addr *a)
{
        enum sw_addr_class class = sw_addr_class(a);
        struct sw_host_probe p = { .addr = *a,
                .realm = class == SW_ADDR_PUBLIC || class == SW_ADDR_PLATFORM ? 0 : realm,
                .internet = is_internet(class) };

        p.hash = sw_table_hash(p.internet ? &h->internet : &h->internal, &p);
        return p;
}

void sw_hosts_prefetch(const struct sw_hosts *h, const struct sw_host_probe *p, bool entry)
{
        const struct sw_table *t = p->internet ? &h->internet : &h->internal;

        if (entry)
                sw_table_prefetch_entry(t, p->hash);
        else
                sw_table_prefetch(t, p->hash);
}

const struct sw_host *sw_hosts_guess(const struct sw_hosts *h, const struct sw_host_probe *p)
{
        return sw_table_guess(p->internet ? &h->internet : &h->internal, p->hash);
}

uint32_t sw_hosts_id(const struct sw_hosts *h, const struct sw_host *host)
{
        uint32_t id = sw_table_id(&h->internal, host);

        return id == SW_TABLE_NO_ID ? sw_table_id(&h->internet, host) | SW_HOSTS_INTERNET_BIT : id;
}

void sw_hosts_prefetch_id(const struct sw_hosts *h, uint32_t id)
{
        sw_table_prefetch_id(id & SW_HOSTS_INTERNET_BIT ? &h->internet : &h->internal, id & ~SW_HOSTS_INTERNET_BIT);
}

struct sw_host *sw_hosts_intern_probe(
        struct sw_hosts *h, const struct sw_host_probe *p, struct sw_etime now, uint32_t *ret_id)
{
        struct sw_host *host;
        uint32_t id;
        bool created;

        host = sw_table_insert_id_hashed(hosts_table(h, p->internet), p, p->hash, &created, &id);
        if (!host)
                return NULL;
        if (created) {
                host->serial = ++h->n_serial;
                host->digest = sw_hosts_digest(host);
                host->first_seen = host->last_seen = now;
                hosts_resolve(h, host);
        }
        if (now.ms > host->last_seen.ms)
                host->last_seen = now;
        *ret_id = p->internet ? id | SW_HOSTS_INTERNET_BIT : id;
        return host;
}

struct sw_host *sw_hosts_intern(
        struct sw_hosts *h, uint16_t realm, const struct sw_addr *a, struct sw_etime now, uint32_t *ret_id)
{
        struct sw_host_probe p = sw_hosts_probe(h, realm, a);

        return sw_hosts_intern_probe(h, &p, now, ret_id);
}

struct sw_host *sw_hosts_at(const struct sw_hosts *h, uint32_t id)
{
        const struct sw_table *t = id & SW_HOSTS_INTERNET_BIT ? &h->internet : &h->internal;

        return sw_table_at(t, id & ~SW_HOSTS_INTERNET_BIT);
}

const struct sw_host *sw_hosts_peek(const struct sw_hosts *h, uint32_t id)
{
        const struct sw_table *t = id & SW_HOSTS_INTERNET_BIT ? &h->internet : &h->internal;

        return sw_table_peek(t, id & ~SW_HOSTS_INTERNET_BIT);
}

void sw_hosts_pin(struct sw_hosts *h, uint32_t id, bool on)
{
        struct sw_table *t = id & SW_HOSTS_INTERNET_BIT ? &h->internet : &h->internal;
        struct sw_host *host = sw_table_at(t, id & ~SW_HOSTS_INTERNET_BIT);

        if (!host || (!on && host->n_pins == 0))
                return;
        host->n_pins += on ? 1 : UINT32_MAX;
        if (host->n_pins == (on ? 1 : 0))
                sw_table_pin(t, id & ~SW_HOSTS_INTERNET_BIT, on);
}

void sw_hosts_taint(struct sw_hosts *h, uint32_t id, bool on)
{
        struct sw_host *host = sw_hosts_at(h, id);

        if (!host || (!on && host->n_taints == 0))
                return;
        host->n_taints += on ? 1 : UINT32_MAX;
        sw_hosts_pin(h, id, on);
}

void sw_hosts_own(struct sw_hosts *h, struct sw_host *host, uint64_t mac, struct sw_str vnet, struct sw_str subnet)
{
        uint32_t old = host->segment, id;
        struct sw_etime start;

        if (host->mac)
                return;
        host->mac = mac;
        if (old < SW_SEGMENT_IMPLICIT || subnet.n == 0)
                return;
        start = sw_segs_start(h->segs, sw_segs_serial(h->segs, old));
        id = sw_segs_subnet(h->segs, vnet, subnet);
        if (id == SW_SEGMENT_UNASSIGNED)
                return;
        host->segment = id;
        sw_segs_inherit(h->segs, id, start);
}

static void resolve_table(struct sw_hosts *h, struct sw_table *t)
{
        struct sw_host *host;
        uint32_t id;

        for (id = 0; (host = sw_table_next(t, &id)); id++) {
                uint32_t old = host->segment, old_serial = sw_segs_old_serial(h->segs, old);

                hosts_resolve(h, host);
                /* The subnet that a flow log named is better than the /24 that resolving falls back to. */
                if (host->segment >= SW_SEGMENT_IMPLICIT && old >= SW_SEGMENT_IMPLICIT)
                        host->segment = old;
                if (sw_segs_serial(h->segs, host->segment) != old_serial)
                        sw_segs_inherit(h->segs, host->segment, sw_segs_start(h->segs, old_serial));
        }
}

void sw_hosts_resolve_again(struct sw_hosts *h)
{
        resolve_table(h, &h->internal);
        resolve_table(h, &h->internet);
}

uint64_t sw_hosts_count(const struct sw_hosts *h)
{
        return (uint64_t)h->internal.n_used + h->internet.n_used;
}

static bool host_is_resolved(const struct sw_hosts *h, const struct sw_host *host)
{
        uint32_t id = sw_segments_lookup(h->segs->conf, host->realm, &host->addr);

        if (host->pinned_roles != sw_segments_host_roles(h->segs->conf, &host->addr))
                return false;
        if (id != SW_SEGMENT_UNASSIGNED || sw_addr_class(&host->addr) != SW_ADDR_PRIVATE)
                return host->segment == id;
        return host->segment == id || host->segment >= SW_SEGMENT_IMPLICIT;
}

static bool table_is_resolved(const struct sw_hosts *h, const struct sw_table *t)
{
        const struct sw_host *host;
        uint32_t id;

        for (id = 0; (host = sw_table_next(t, &id)); id++)
                if (!host_is_resolved(h, host))
                        return false;
        return true;
}

bool sw_hosts_is_resolved(const struct sw_hosts *h)
{
        return table_is_resolved(h, &h->internal) && table_is_resolved(h, &h->internet);
}

static void unpin_table(struct sw_table *t, bool taints)
{
        struct sw_host *host;
        uint32_t id;

        for (id = 0; (host = sw_table_next(t, &id)); id++) {
                if (!taints)
                        host->n_taints = 0;
                host->n_pins = host->n_taints;
                sw_table_pin(t, id, host->n_pins > 0);
        }
}

void sw_hosts_unpin(struct sw_hosts *h, bool taints)
{
        unpin_table(&h->internal, taints);
        unpin_table(&h->internet, taints);
}
