/* SPDX-License-Identifier: Apache-2.0 */
/* `auth:`: who the program is to Entra. Exactly one way, with all that it needs. */
#include "conf_auth.h"
#include "azure/assertion.h"
#include "config/emit.h"
#include "config/schema.h"
#include "secret.h"

#include <string.h>

static const struct sw_opt_name cloud_names[] = { { "public", SW_CLOUD_PUBLIC }, { "usgov", SW_CLOUD_USGOV },
        { "china", SW_CLOUD_CHINA }, { NULL, 0 } };
static const struct sw_opt_name via_names[] = { { "imds", SW_VIA_IMDS }, { "arc", SW_VIA_ARC },
        { "app-service", SW_VIA_APP_SERVICE }, { NULL, 0 } };

#define AT(field) .offset = offsetof(struct sw_conf_managed, field)
static const struct sw_opt managed_rows[] = {
        { .key = "via",
                .type = SW_OPT_ENUM,
                AT(via),
                .def = "imds",
                .names = via_names,
                .doc = "Who gives the token: the virtual machine, Azure Arc, or a container app." },
        { .key = "client_id", .type = SW_OPT_STRING, AT(client_id), .doc = "Of a user-assigned identity." },
        { .key = "object_id", .type = SW_OPT_STRING, AT(object_id), .doc = "The same by object id." },
        { .key = "resource_id", .type = SW_OPT_STRING, AT(resource_id), .doc = "The same by resource id." },
        { .key = "endpoint", .type = SW_OPT_STRING, AT(endpoint), .doc = "URL instead of the standard one." },
        { .key = "tokens_dir", .type = SW_OPT_STRING, AT(tokens_dir), .doc = "arc: folder of the challenge files." },
        SW_OPT_END,
};
#undef AT

struct auth_managed { /* as in struct sw_conf_auth */
        bool given;
        struct sw_conf_managed conf;
};
_Static_assert(sizeof(struct auth_managed) == sizeof(((struct sw_conf_auth *)0)->managed_identity), "managed identity");

/* `{}` means the one identity of the machine, so being there counts; null is not there. */
static void auth_managed_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct auth_managed *to = field;
        const struct sw_schema_part part = { .rows = managed_rows, .base = &to->conf };

        if (sw_conf_node_is_null(node) || !sw_schema_is(check, node, SW_NODE_MAP, "managed_identity"))
                return;
        if (sw_schema_defaults(managed_rows, &to->conf) < 0)
                check->no_memory = true;
        to->given = true;
        sw_schema_read(&part, 1, node, check);
}

static void auth_managed_emit(struct sw_buf *out, const void *field)
{
        const struct auth_managed *m = field;
        const struct {
                const char *key, *value;
        } texts[] = { { "client_id", m->conf.client_id }, { "object_id", m->conf.object_id },
                { "resource_id", m->conf.resource_id }, { "endpoint", m->conf.endpoint },
                { "tokens_dir", m->conf.tokens_dir } };
        size_t i;

        if (!m->given)
                return;
        sw_buf_printf(out, "{via: %s", m->conf.via <= SW_VIA_APP_SERVICE ? via_names[m->conf.via].name : "imds");
        for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                if (texts[i].value) {
                        sw_buf_printf(out, ", %s: ", texts[i].key);
                        sw_emit_text(out, sw_str_of(texts[i].value));
                }
        sw_buf_putc(out, '}');
}

static void auth_managed_free(void *field)
{
        struct auth_managed *m = field;

        sw_schema_free(managed_rows, &m->conf);
        m->given = false;
}

static void auth_managed_schema(struct sw_jsonw *w)
{
        static const struct sw_opt *const tables[] = { managed_rows };

        sw_emit_schema(w, tables, 1);
}

#define AT(field) .offset = offsetof(struct sw_conf_auth, field)
const struct sw_opt sw_conf_auth_rows[] = {
        { .key = "managed_identity",
                .type = SW_OPT_CUSTOM,
                .parse = auth_managed_parse,
                .emit = auth_managed_emit,
                .free_field = auth_managed_free,
                .emit_schema = auth_managed_schema,
                AT(managed_identity),
                .example = "{}",
                .doc = "The identity of the machine; {client_id: ...} for a user-assigned one; via: imds, arc or "
                       "app-service." },
        { .key = "tenant",
                .type = SW_OPT_STRING,
                AT(tenant),
                .example = "00000000-0000-0000-0000-000000000000",
                .doc = "Tenant of the application." },
        { .key = "client_id",
                .type = SW_OPT_STRING,
                AT(client_id),
                .example = "00000000-0000-0000-0000-000000000000",
                .doc = "Application (client) id." },
        { .key = "client_secret",
                .type = SW_OPT_SECRET,
                AT(client_secret),
                .example = "{credential: sentinel}",
                .doc = "The application's secret." },
        { .key = "certificate",
                .type = SW_OPT_SECRET,
                AT(certificate),
                .example = "{credential: sentinel-pem}",
                .doc = "Instead of it: PEM with an RSA key and its certificate." },
        { .key = "federated_token_file",
                .type = SW_OPT_STRING,
                AT(federated_token_file),
                .example = "/var/run/secrets/azure/tokens/azure-identity-token",
                .doc = "Instead of it: workload identity of Kubernetes." },
        { .key = "cloud",
                .type = SW_OPT_ENUM,
                AT(cloud),
                .def = "public",
                .names = cloud_names,
                .doc = "Which Azure; sets authority and audience." },
        { .key = "authority",
                .type = SW_OPT_STRING,
                AT(authority),
                .example = "https://login.microsoftonline.com",
                .doc = "Where tokens are asked for." },
        { .key = "audience",
                .type = SW_OPT_STRING,
                AT(audience),
                .example = "https://monitor.azure.com",
                .doc = "What tokens are for." },
        { .key = "ca_file",
                .type = SW_OPT_STRING,
                AT(ca_file),
                .example = "/etc/ssl/certs/ca-certificates.crt",
                .doc = "Certificates to trust there instead of the system's." },
        { .key = "proxy",
                .type = SW_OPT_STRING,
                AT(proxy),
                .example = "http://proxy.corp:3128",
                .doc = "HTTP proxy on the way there." },
        SW_OPT_END,
};
#undef AT

static bool auth_has(const struct sw_secret_ref *s)
{
        return s->file || s->credential;
}

static unsigned auth_ways(const struct sw_conf_auth *a)
{
        return a->managed_identity.given + auth_has(&a->client_secret) + auth_has(&a->certificate) +
               (a->federated_token_file != NULL);
}

bool sw_conf_auth_given(const struct sw_conf_auth *a)
{
        return auth_ways(a) > 0;
}

static bool auth_is_url(const char *text)
{
        return strncmp(text, "https://", 8) == 0 && text[8] && !strpbrk(text, " ?#");
}

void sw_conf_check_auth(
        const struct sw_conf_auth *a, const char *what, const struct sw_conf_place *place, struct sw_conf_check *check)
{
        const struct sw_conf_managed *m = &a->managed_identity.conf;
        unsigned ways = auth_ways(a);

        if (ways != 1)
                sw_conf_error(check, place,
                        "%s: auth needs %s of managed_identity, client_secret, certificate and federated_token_file",
                        what, ways ? "only one" : "one");
        else if (!a->managed_identity.given && (!a->tenant || !a->client_id))
                sw_conf_error(check, place, "%s: auth needs '%s'", what, a->tenant ? "client_id" : "tenant");
        if (a->managed_identity.given && !!m->client_id + !!m->object_id + !!m->resource_id > 1)
                sw_conf_error(check, place,
                        "%s: managed_identity is named by one of client_id, object_id and resource_id", what);
        if (m->endpoint && strncmp(m->endpoint, "http://", 7) != 0 && strncmp(m->endpoint, "https://", 8) != 0)
                sw_conf_error(check, place, "%s: managed_identity: endpoint is not a URL", what);
        if (a->authority && !auth_is_url(a->authority))
                sw_conf_error(check, place, "%s: authority is not a URL like https://login.microsoftonline.com", what);
        if (a->audience && !auth_is_url(a->audience))
                sw_conf_error(check, place, "%s: audience is not a URL like https://monitor.azure.com", what);
}

void sw_conf_check_auth_secret(
        const struct sw_conf_auth *a, const char *what, const struct sw_conf_place *place, struct sw_conf_check *check)
{
        bool certificate = auth_has(&a->certificate);
        struct sw_secret secret = SW_SECRET_NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_buf jwt = SW_BUF_NULL;
        int r;

        if (!certificate && !auth_has(&a->client_secret))
                return;
        r = sw_secret_read(certificate ? &a->certificate : &a->client_secret, &secret, &err);
        if (r == SW_SECRET_NOT_HERE)
                sw_conf_warn(check, place, "%s: %s", what, err.msg);
        else if (r < 0)
                sw_conf_error(check, place, "%s: %s", what, err.msg);
        if (r == 0 && secret.world_readable)
                sw_conf_warn(check, place, "%s: the secret's file is readable by everybody; chmod 0600 it", what);
        if (r == 0 && certificate) {
                const struct sw_assertion test = { { secret.text, secret.n }, a->client_id ? a->client_id : "", "",
                        sw_clock_wall() };

                if (sw_assertion_make(&jwt, &test, &err) < 0)
                        sw_conf_error(check, place, "%s: %s", what, err.msg);
        }
        sw_buf_deinit(&jwt);
        sw_secret_deinit(&secret);
}

/* ---- for the client ---- */

static const struct {
        const char *authority, *monitor;
} auth_clouds[] = {
        [SW_CLOUD_PUBLIC] = { "https://login.microsoftonline.com", "https://monitor.azure.com" },
        [SW_CLOUD_USGOV] = { "https://login.microsoftonline.us", "https://monitor.azure.us" },
        [SW_CLOUD_CHINA] = { "https://login.chinacloudapi.cn", "https://monitor.azure.cn" },
};

const char *sw_conf_auth_monitor(const struct sw_conf_auth *a)
{
        return auth_clouds[a->cloud].monitor;
}

void sw_conf_auth_token(const struct sw_conf_auth *a, const char *name, struct sw_token_conf *ret)
{
        static const enum sw_auth_kind vias[] = {
                [SW_VIA_IMDS] = SW_AUTH_IMDS, [SW_VIA_ARC] = SW_AUTH_ARC, [SW_VIA_APP_SERVICE] = SW_AUTH_APP_SERVICE
        };
        const struct sw_conf_managed *m = &a->managed_identity.conf;
        bool certificate = auth_has(&a->certificate);

        *ret = (struct sw_token_conf){ .name = name,
                .kind = a->federated_token_file ? SW_AUTH_FEDERATED
                        : certificate           ? SW_AUTH_CERTIFICATE
                                                : SW_AUTH_SECRET,
                .tenant = a->tenant,
                .client_id = a->client_id,
                .secret = certificate ? a->certificate : a->client_secret,
                .token_file = a->federated_token_file,
                .authority = a->authority ? a->authority : auth_clouds[a->cloud].authority,
                .audience = a->audience,
                .endpoint = m->endpoint,
                .arc_dir = m->tokens_dir,
                .ca_file = a->ca_file,
                .proxy = a->proxy };
        if (a->managed_identity.given) {
                ret->kind = vias[m->via];
                ret->identity_key = m->client_id ? "client_id" : m->object_id ? "object_id" : "msi_res_id";
                ret->identity = m->client_id ? m->client_id : m->object_id ? m->object_id : m->resource_id;
        }
}
