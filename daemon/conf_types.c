/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration that are more than a number or a text: CIDRs, services, names, starts. */
#include "conf_lists.h"
#include "config/emit.h"

#include <stdio.h>
#include <string.h>

/* A list, or one value in the place of a list of one. NULL after an error. */
static const struct sw_conf_node *types_first(
        struct sw_conf_check *check, const struct sw_conf_node *node, const char *what)
{
        if (node->kind == SW_NODE_SCALAR && !sw_conf_node_is_null(node))
                return node;
        if (!sw_schema_is(check, node, SW_NODE_LIST, what))
                return NULL;
        if (!node->first)
                sw_conf_error(check, &node->place, "%s: the list is empty", what);
        return node->first;
}

static const struct sw_conf_node *types_next(const struct sw_conf_node *list, const struct sw_conf_node *item)
{
        return item == list ? NULL : item->next;
}

/* Makes room for n more items; false: no memory. */
static bool types_grow(struct sw_conf_check *check, void *items_ptr, uint32_t n_have, uint32_t n_more, size_t size)
{
        void **items = items_ptr, *p = sw_realloc_array(*items, (size_t)n_have + n_more + 1, size);

        if (p)
                *items = p;
        else
                check->no_memory = true;
        return p;
}

static uint32_t types_count(const struct sw_conf_node *node)
{
        return node->kind == SW_NODE_LIST ? node->n : 1;
}

static void types_schema_list(struct sw_jsonw *w, const char *type)
{
        sw_jsonw_ktext(w, "type", "array");
        sw_jsonw_key(w, "items");
        sw_jsonw_object(w);
        if (type)
                sw_jsonw_ktext(w, "type", type);
        sw_jsonw_end_object(w);
}

static void types_schema_one_or_list(struct sw_jsonw *w, bool numbers)
{
        unsigned i;

        sw_jsonw_key(w, "anyOf");
        sw_jsonw_array(w);
        for (i = 0; i < (numbers ? 3 : 2); i++) {
                sw_jsonw_object(w);
                if (i == 1)
                        types_schema_list(w, numbers ? NULL : "string");
                else
                        sw_jsonw_ktext(w, "type", i ? "integer" : "string");
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

/* texts */

void sw_conf_texts_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_conf_texts *to = field;
        const struct sw_conf_node *item = types_first(check, node, node->key.p);
        struct sw_str s;

        if (!item || !types_grow(check, &to->items, to->n, types_count(node), sizeof(*to->items)))
                return;
        for (; item; item = types_next(node, item)) {
                if (!sw_schema_text(check, item, "an item of this list", &s))
                        continue;
                to->items[to->n] = sw_strdup(s.p);
                if (to->items[to->n])
                        to->n++;
                else
                        check->no_memory = true;
        }
}

void sw_conf_texts_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_texts *t = field;
        uint32_t i;

        if (t->n == 0)
                return;
        for (i = 0; i < t->n; i++) {
                sw_buf_puts(out, i ? ", " : "[");
                sw_emit_text(out, sw_str_of(t->items[i]));
        }
        sw_buf_putc(out, ']');
}

void sw_conf_texts_free(void *field)
{
        struct sw_conf_texts *t = field;
        uint32_t i;

        for (i = 0; i < t->n; i++)
                sw_free(t->items[i]);
        sw_free(t->items);
        *t = (struct sw_conf_texts){ 0 };
}

void sw_conf_texts_schema(struct sw_jsonw *w)
{
        types_schema_one_or_list(w, false);
}

/* brokers: "host:port" items, kept as librdkafka's comma list */

static bool types_broker_ok(struct sw_str s)
{
        uint64_t port;
        size_t n = s.n, i;

        while (n > 0 && s.p[n - 1] != ':')
                n--;
        if (n < 2 || !sw_parse_u64((struct sw_str){ s.p + n, s.n - n }, &port) || port == 0 || port > 65535)
                return false;
        for (i = 0; i < n - 1; i++)
                if ((unsigned char)s.p[i] <= ' ' || strchr(",/\"'", s.p[i]) || (unsigned char)s.p[i] >= 0x7f)
                        return false;
        return true;
}

void sw_conf_brokers_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        const struct sw_conf_node *item = types_first(check, node, "brokers");
        struct sw_buf list = SW_BUF_NULL;
        char shown[SW_CONF_SHOWN], **to = field;
        struct sw_str s;

        for (; item; item = types_next(node, item)) {
                if (!sw_schema_text(check, item, "a broker", &s))
                        continue;
                if (!types_broker_ok(s))
                        sw_conf_error(check, &item->place, "broker '%s' is not HOST:PORT", sw_conf_show(s, shown));
                if (list.n)
                        sw_buf_putc(&list, ',');
                sw_buf_put_str(&list, s);
        }
        sw_buf_putc(&list, '\0');
        sw_free(*to);
        *to = list.failed || list.n < 2 ? NULL : sw_strdup(list.p);
        check->no_memory = check->no_memory || list.failed || (list.n >= 2 && !*to);
        sw_buf_deinit(&list);
}

void sw_conf_brokers_emit(struct sw_buf *out, const void *field)
{
        const char *at = *(char *const *)field, *comma;
        bool first = true;

        if (!at)
                return;
        for (; at; at = comma ? comma + 1 : NULL) {
                comma = strchr(at, ',');
                sw_buf_puts(out, first ? "[" : ", ");
                sw_emit_text(out, (struct sw_str){ at, comma ? (size_t)(comma - at) : strlen(at) });
                first = false;
        }
        sw_buf_putc(out, ']');
}

void sw_conf_brokers_free(void *field)
{
        char **to = field;

        sw_free(*to);
        *to = NULL;
}

void sw_conf_brokers_schema(struct sw_jsonw *w)
{
        types_schema_one_or_list(w, false);
}

/* cidrs */

static bool types_prefix(
        struct sw_conf_check *check, const struct sw_conf_node *item, const char *what, struct sw_prefix *ret)
{
        char shown[SW_CONF_SHOWN], right[SW_PREFIX_TEXT];
        bool host_bits;
        struct sw_str s;

        if (!sw_schema_text(check, item, what, &s))
                return false;
        if (!sw_prefix_parse(s, ret, &host_bits)) {
                sw_conf_error(check, &item->place, "'%s' is not an address range like 10.1.0.0/16 or fd00:1::/64",
                        sw_conf_show(s, shown));
                return false;
        }
        if (host_bits) {
                sw_conf_error(check, &item->place, "%s has host bits set; the range is %s", sw_conf_show(s, shown),
                        sw_prefix_format(ret, right));
                return false;
        }
        return true;
}

static void types_emit_prefix(struct sw_buf *out, const struct sw_prefix *p)
{
        char text[SW_PREFIX_TEXT];
        struct sw_str s = sw_str_of(p->bits == 128 ? sw_addr_format(&p->addr, text) : sw_prefix_format(p, text));

        if (memchr(s.p, ':', s.n)) {
                sw_emit_text(out, s);
                return;
        }
        sw_buf_put_str(out, s);
}

void sw_conf_cidrs_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_conf_cidrs *to = field;
        const struct sw_conf_node *item = types_first(check, node, "cidrs");

        if (!item || !types_grow(check, &to->items, to->n, types_count(node), sizeof(*to->items)))
                return;
        for (; item; item = types_next(node, item)) {
                to->items[to->n].place = item->place;
                if (types_prefix(check, item, "an address range", &to->items[to->n].prefix))
                        to->n++;
        }
}

void sw_conf_cidrs_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_cidrs *c = field;
        uint32_t i;

        if (c->n == 0)
                return;
        for (i = 0; i < c->n; i++) {
                sw_buf_puts(out, i ? ", " : "[");
                types_emit_prefix(out, &c->items[i].prefix);
        }
        sw_buf_putc(out, ']');
}

void sw_conf_cidrs_free(void *field)
{
        struct sw_conf_cidrs *c = field;

        sw_free(c->items);
        *c = (struct sw_conf_cidrs){ 0 };
}

void sw_conf_cidrs_schema(struct sw_jsonw *w)
{
        types_schema_one_or_list(w, false);
}

/* services: "1433/tcp", "1000-2000/udp", "443", "ssh", "any" */

static bool types_ports(struct sw_str s, struct sw_port_range *ret)
{
        const char *slash = memchr(s.p, '/', s.n), *dash;
        struct sw_str ports = { s.p, slash ? (size_t)(slash - s.p) : s.n }, first = ports;
        uint64_t lo, hi;
        uint8_t proto = 0;

        if (slash) {
                struct sw_str name = { slash + 1, s.n - ports.n - 1 };

                if (sw_str_ieq(name, SW_STR("tcp")))
                        proto = SW_PROTO_TCP;
                else if (sw_str_ieq(name, SW_STR("udp")))
                        proto = SW_PROTO_UDP;
                else
                        return false;
        }
        dash = memchr(ports.p, '-', ports.n);
        if (dash)
                first.n = (size_t)(dash - ports.p);
        if (!sw_parse_u64(first, &lo))
                return false;
        hi = lo;
        if (dash && !sw_parse_u64((struct sw_str){ dash + 1, ports.n - first.n - 1 }, &hi))
                return false;
        if (lo == 0 || hi > 65535 || lo > hi)
                return false;
        *ret = (struct sw_port_range){ proto, (uint16_t)lo, (uint16_t)hi };
        return true;
}

static void types_service_error(struct sw_conf_check *check, const struct sw_conf_node *item)
{
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT];
        struct sw_conf_guess g = sw_conf_guess_start(item->text);
        unsigned i;

        for (i = SW_SERVICE_SSH; i < SW_N_SERVICES; i++)
                sw_conf_guess_add(&g, sw_service_text((enum sw_service)i));
        sw_conf_error(check, &item->place,
                "service '%s' is not a port (443, 1433/tcp, 1000-2000/udp), a service name (ssh, rdp, smb, ...) or "
                "any%s",
                sw_conf_show(item->text, shown), sw_conf_guess_hint(&g, hint));
}

static void types_add_service(
        struct sw_conf_check *check, struct sw_conf_services *to, const struct sw_conf_node *item, bool *any)
{
        struct sw_port_range range;
        enum sw_service service;
        unsigned nth;
        struct sw_str s;

        if (!sw_schema_text(check, item, "a service", &s))
                return;
        if (sw_str_ieq(s, SW_STR("any"))) {
                *any = true;
        } else if (sw_service_by_name(s, &service)) {
                for (nth = 0; sw_service_port(service, nth, &range); nth++) {
                        if (!types_grow(check, &to->items, to->n, 1, sizeof(*to->items)))
                                return;
                        to->items[to->n++] = range;
                }
        } else if (types_ports(s, &range)) {
                if (types_grow(check, &to->items, to->n, 1, sizeof(*to->items)))
                        to->items[to->n++] = range;
        } else {
                types_service_error(check, item);
        }
}

void sw_conf_services_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_conf_services *to = field;
        const struct sw_conf_node *item = types_first(check, node, "services");
        bool any = false;

        sw_conf_services_free(to);
        for (; item; item = types_next(node, item))
                types_add_service(check, to, item, &any);
        if (any && types_count(node) > 1)
                sw_conf_error(check, &node->place, "services: 'any' stands alone");
        if (any)
                sw_conf_services_free(to);
}

void sw_conf_services_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_services *s = field;
        uint32_t i;

        if (s->n == 0) {
                sw_buf_puts(out, "any");
                return;
        }
        for (i = 0; i < s->n; i++) {
                const struct sw_port_range *p = &s->items[i];

                sw_buf_puts(out, i ? ", " : "[");
                sw_buf_printf(out, p->lo == p->hi ? "%u" : "%u-%u", p->lo, p->hi);
                if (p->proto)
                        sw_buf_puts(out, p->proto == SW_PROTO_TCP ? "/tcp" : "/udp");
        }
        sw_buf_putc(out, ']');
}

void sw_conf_services_free(void *field)
{
        struct sw_conf_services *s = field;

        sw_free(s->items);
        *s = (struct sw_conf_services){ 0 };
}

void sw_conf_services_schema(struct sw_jsonw *w)
{
        types_schema_one_or_list(w, true);
}

/* ref */

void sw_conf_ref_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_conf_ref *to = field;
        struct sw_str s;

        to->place = node->place;
        if (!sw_schema_text(check, node, node->key.n ? node->key.p : "a name", &s))
                return;
        sw_free(to->name);
        to->name = sw_strdup(s.p);
        check->no_memory = check->no_memory || !to->name;
}

void sw_conf_ref_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_ref *r = field;

        if (r->name)
                sw_emit_text(out, sw_str_of(r->name));
}

void sw_conf_ref_free(void *field)
{
        struct sw_conf_ref *r = field;

        sw_free(r->name);
        *r = (struct sw_conf_ref){ 0 };
}

void sw_conf_ref_schema(struct sw_jsonw *w)
{
        sw_jsonw_ktext(w, "type", "string");
}

/* hosts: {role: [address or CIDR]} */

static bool types_host_role(struct sw_conf_check *check, const struct sw_conf_node *node, unsigned *ret)
{
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT];
        struct sw_conf_guess g = sw_conf_guess_start(node->key);
        struct sw_buf list = SW_BUF_NULL;
        unsigned i;

        if (sw_host_role_by_name(node->key, ret))
                return true;
        for (i = 0; i < SW_N_HOST_ROLES; i++) {
                sw_conf_guess_add(&g, sw_host_role_text(i));
                sw_buf_printf(&list, "%s%s", i ? ", " : "", sw_host_role_text(i));
        }
        sw_buf_putc(&list, '\0');
        sw_conf_error(check, &node->key_place, "'%s' is not a role of hosts (%s)%s", sw_conf_show(node->key, shown),
                list.failed ? "" : list.p, sw_conf_guess_hint(&g, hint));
        sw_buf_deinit(&list);
        return false;
}

void sw_conf_hosts_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_conf_hosts *to = field;
        const struct sw_conf_node *role, *item;
        unsigned bit;

        if (sw_conf_node_is_null(node) || !sw_schema_is(check, node, SW_NODE_MAP, "hosts"))
                return;
        for (role = node->first; role; role = role->next) {
                if (!types_host_role(check, role, &bit))
                        continue;
                item = types_first(check, role, role->key.p);
                if (!item || !types_grow(check, &to->items, to->n, types_count(role), sizeof(*to->items)))
                        continue;
                for (; item; item = types_next(role, item))
                        if (types_prefix(check, item, "an address", &to->items[to->n].prefix))
                                to->items[to->n++].role_bit = bit;
        }
}

void sw_conf_hosts_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_hosts *h = field;
        bool any_role = false;
        unsigned bit;
        uint32_t i;

        for (bit = 0; bit < SW_N_HOST_ROLES; bit++) {
                bool any = false;

                for (i = 0; i < h->n; i++) {
                        if (h->items[i].role_bit != bit)
                                continue;
                        if (!any)
                                sw_buf_printf(out, "%s%s: [", any_role ? ", " : "{", sw_host_role_text(bit));
                        else
                                sw_buf_puts(out, ", ");
                        types_emit_prefix(out, &h->items[i].prefix);
                        any = any_role = true;
                }
                if (any)
                        sw_buf_putc(out, ']');
        }
        if (any_role)
                sw_buf_putc(out, '}');
}

void sw_conf_hosts_free(void *field)
{
        struct sw_conf_hosts *h = field;

        sw_free(h->items);
        *h = (struct sw_conf_hosts){ 0 };
}

void sw_conf_hosts_schema(struct sw_jsonw *w)
{
        unsigned bit;

        sw_jsonw_key(w, "type");
        sw_jsonw_array(w);
        sw_jsonw_text(w, "object");
        sw_jsonw_text(w, "null");
        sw_jsonw_end_array(w);
        sw_jsonw_key(w, "properties");
        sw_jsonw_object(w);
        for (bit = 0; bit < SW_N_HOST_ROLES; bit++) {
                sw_jsonw_key(w, sw_host_role_text(bit));
                sw_jsonw_object(w);
                types_schema_one_or_list(w, false);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_object(w);
        sw_jsonw_kbool(w, "additionalProperties", false);
}

/* start: earliest | latest | a time */

struct types_start { /* as in struct sw_conf_source */
        uint32_t kind;
        struct sw_etime time;
};
_Static_assert(sizeof(struct types_start) == sizeof(((struct sw_conf_source *)0)->start), "start of a source");

void sw_conf_start_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct types_start *to = field;
        char shown[SW_CONF_SHOWN];
        struct sw_str s;

        if (!sw_schema_text(check, node, "start", &s))
                return;
        *to = (struct types_start){ SW_START_EARLIEST, SW_ETIME_NONE };
        if (sw_str_eq(s, SW_STR("latest")))
                to->kind = SW_START_LATEST;
        else if (sw_etime_parse(s, &to->time))
                to->kind = SW_START_TIME;
        else if (!sw_str_eq(s, SW_STR("earliest")))
                sw_conf_error(check, &node->place,
                        "start: '%s' is not earliest, latest or a time like 2026-05-01T00:00:00Z",
                        sw_conf_show(s, shown));
}

void sw_conf_start_emit(struct sw_buf *out, const void *field)
{
        const struct types_start *s = field;
        char text[SW_ETIME_TEXT];

        if (s->kind == SW_START_TIME)
                sw_emit_text(out, sw_str_of(sw_etime_format(s->time, text)));
        else
                sw_buf_puts(out, s->kind == SW_START_LATEST ? "latest" : "earliest");
}

void sw_conf_start_free(void *field)
{
        (void)field;
}

void sw_conf_start_schema(struct sw_jsonw *w)
{
        sw_jsonw_ktext(w, "type", "string");
        sw_jsonw_ktext(w, "default", "earliest");
}

bool sw_conf_name_ok(struct sw_conf_check *check, const struct sw_conf_place *place, const char *what, const char *name)
{
        char shown[SW_CONF_SHOWN];
        size_t i, n = name ? strlen(name) : 0;

        for (i = 0; i < n && i < 64; i++) {
                char c = name[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-/", c)))
                        break;
        }
        if (i == n && n <= 63)
                return true;
        sw_conf_error(check, place, "the name of a %s has at most 63 letters, digits and . _ - /, not '%s'", what,
                sw_conf_show(sw_str_of(name), shown));
        return false;
}
