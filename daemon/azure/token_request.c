/* SPDX-License-Identifier: Apache-2.0 */
#include "azure/assertion.h"
#include "azure/token_int.h"
#include "base/json.h"
#include "secret.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_LIFE_MIN_S 1
#define REQUEST_LIFE_MAX_S (7 * 86400)
#define REQUEST_TOKEN_MAX ((size_t)32 << 10)
#define REQUEST_ARC_FILE_MAX 4096
#define REQUEST_SHOWN 260

static void request_wipe(struct sw_buf *b)
{
        if (b->p)
                explicit_bzero(b->p, b->n);
        sw_buf_deinit(b);
}

void sw__token_request_deinit(struct sw__token_request *r)
{
        uint32_t i;

        request_wipe(&r->url);
        request_wipe(&r->body);
        for (i = 0; i < r->n_headers; i++)
                request_wipe(&r->headers[i]);
        *r = (struct sw__token_request){ 0 };
}

static void request_header(struct sw__token_request *r, const char *name, struct sw_str value)
{
        struct sw_buf *h = &r->headers[r->n_headers];

        sw_buf_puts(h, name);
        sw_buf_puts(h, ": ");
        sw_buf_put_str(h, value);
        sw_buf_putc(h, '\0');
        r->lines[r->n_headers++] = h->p;
}

static void request_param(struct sw_buf *out, const char *key, struct sw_str value)
{
        if (out->n && !strchr("?&", out->p[out->n - 1]))
                sw_buf_putc(out, '&');
        sw_buf_puts(out, key);
        sw_buf_putc(out, '=');
        sw_httpc_put_encoded(out, value);
}

/* A secret that cannot be read may come back (rotation in two steps): tried again like an outage. */
static int request_secret(const struct sw_secret_ref *ref, struct sw_secret *ret, struct sw_err *reterr)
{
        int r = sw_secret_read(ref, ret, reterr);

        if (r == -SW_ERR_NOMEM)
                return r;
        return r == 0 ? 0 : -SW_ERR_CONFIG;
}

static int request_assertion_certificate(
        const struct sw_token_conf *c, const char *url, struct sw__token_request *r, struct sw_err *reterr)
{
        struct sw_secret pem = SW_SECRET_NULL;
        struct sw_buf jwt = SW_BUF_NULL;
        int rc = request_secret(&c->secret, &pem, reterr);

        if (rc == 0) {
                const struct sw_assertion a = {
                        .pem = { pem.text, pem.n }, .client_id = c->client_id, .audience = url, .now = sw_clock_wall()
                };

                rc = sw_assertion_make(&jwt, &a, reterr);
                rc = rc == -SW_ERR_INVAL ? -SW_ERR_CONFIG : rc;
        }
        if (rc == 0)
                request_param(&r->body, "client_assertion", (struct sw_str){ jwt.p, jwt.n });
        request_wipe(&jwt);
        sw_secret_deinit(&pem);
        return rc;
}

static int request_assertion_file(const struct sw_token_conf *c, struct sw__token_request *r, struct sw_err *reterr)
{
        const char *path = c->token_file ? c->token_file : getenv("AZURE_FEDERATED_TOKEN_FILE");
        struct sw_secret_ref ref = { 0 };
        struct sw_secret token = SW_SECRET_NULL;
        char copy[PATH_MAX];
        int rc;

        if (!path || !*path || strlen(path) >= sizeof(copy))
                return sw_err_set(reterr, -SW_ERR_CONFIG,
                        "federated: neither token_file nor AZURE_FEDERATED_TOKEN_FILE says where the token is");
        (void)snprintf(copy, sizeof(copy), "%s", path);
        ref.file = copy;
        rc = request_secret(&ref, &token, reterr);
        if (rc == 0)
                request_param(&r->body, "client_assertion", (struct sw_str){ token.text, token.n });
        sw_secret_deinit(&token);
        return rc;
}

static int request_entra(const struct sw_token_conf *c, struct sw__token_request *r, struct sw_err *reterr)
{
        struct sw_secret secret = SW_SECRET_NULL;
        struct sw_buf scope = SW_BUF_NULL;
        int rc = 0;

        sw_buf_puts(&r->url, c->authority);
        sw_buf_putc(&r->url, '/');
        sw_httpc_put_encoded(&r->url, sw_str_of(c->tenant));
        sw_buf_puts(&r->url, "/oauth2/v2.0/token");
        sw_buf_putc(&r->url, '\0');
        if (r->url.failed)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        r->post = true;
        request_header(r, "Content-Type", SW_STR("application/x-www-form-urlencoded"));
        request_header(r, "Accept", SW_STR("application/json"));
        sw_buf_puts(&scope, c->audience);
        sw_buf_puts(&scope, "/.default");
        request_param(&r->body, "grant_type", SW_STR("client_credentials"));
        request_param(&r->body, "client_id", sw_str_of(c->client_id));
        request_param(&r->body, "scope", (struct sw_str){ scope.p, scope.failed ? 0 : scope.n });
        sw_buf_deinit(&scope);
        if (c->kind == SW_AUTH_SECRET) {
                rc = request_secret(&c->secret, &secret, reterr);
                if (rc == 0)
                        request_param(&r->body, "client_secret", (struct sw_str){ secret.text, secret.n });
                sw_secret_deinit(&secret);
                return rc;
        }
        request_param(
                &r->body, "client_assertion_type", SW_STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        return c->kind == SW_AUTH_CERTIFICATE ? request_assertion_certificate(c, r->url.p, r, reterr)
                                              : request_assertion_file(c, r, reterr);
}

/* Each service has names of its own for the same. */
static const char *request_identity_key(const struct sw_token_conf *c)
{
        if (c->kind != SW_AUTH_APP_SERVICE)
                return c->identity_key;
        return strcmp(c->identity_key, "object_id") == 0    ? "principal_id"
               : strcmp(c->identity_key, "msi_res_id") == 0 ? "mi_res_id"
                                                            : c->identity_key;
}

static int request_managed(const struct sw_token_conf *c, struct sw__token_request *r, struct sw_err *reterr)
{
        static const struct {
                const char *endpoint, *version;
        } kinds[] = {
                [SW_AUTH_IMDS] = { "http://169.254.169.254/metadata/identity/oauth2/token", "2018-02-01" },
                [SW_AUTH_ARC] = { "http://127.0.0.1:40342/metadata/identity/oauth2/token", "2020-06-01" },
                [SW_AUTH_APP_SERVICE] = { NULL, "2019-08-01" },
        };
        const char *endpoint = c->endpoint ? c->endpoint : kinds[c->kind].endpoint, *header;
        struct sw_buf resource = SW_BUF_NULL;

        if (c->kind == SW_AUTH_APP_SERVICE) {
                endpoint = c->endpoint ? c->endpoint : getenv("IDENTITY_ENDPOINT");
                header = getenv("IDENTITY_HEADER");
                if (!endpoint || !header)
                        return sw_err_set(reterr, -SW_ERR_CONFIG,
                                "managed_identity: IDENTITY_ENDPOINT and IDENTITY_HEADER are not set: is this a "
                                "container "
                                "app with an identity?");
                request_header(r, "X-IDENTITY-HEADER", sw_str_of(header));
        } else {
                request_header(r, "Metadata", SW_STR("true"));
        }
        r->direct = true;
        sw_buf_puts(&r->url, endpoint);
        sw_buf_putc(&r->url, '?');
        request_param(&r->url, "api-version", sw_str_of(kinds[c->kind].version));
        sw_buf_puts(&resource, c->audience);
        sw_buf_putc(&resource, '/');
        request_param(&r->url, "resource", (struct sw_str){ resource.p, resource.failed ? 0 : resource.n });
        sw_buf_deinit(&resource);
        if (c->identity)
                request_param(&r->url, request_identity_key(c), sw_str_of(c->identity));
        sw_buf_putc(&r->url, '\0');
        return 0;
}

int sw__token_request_make(const struct sw_token_conf *c, struct sw__token_request *r, struct sw_err *reterr)
{
        bool entra = c->kind == SW_AUTH_SECRET || c->kind == SW_AUTH_CERTIFICATE || c->kind == SW_AUTH_FEDERATED;
        int rc = entra ? request_entra(c, r, reterr) : request_managed(c, r, reterr);
        uint32_t i;

        if (rc == 0 && (r->url.failed || r->body.failed))
                rc = -SW_ERR_NOMEM;
        for (i = 0; rc == 0 && i < r->n_headers; i++)
                rc = r->headers[i].failed ? -SW_ERR_NOMEM : 0;
        if (rc == -SW_ERR_NOMEM)
                return sw_err_set(reterr, rc, "out of memory");
        return rc;
}

int sw__token_request_arc(
        const struct sw_token_conf *c, const char *challenge, struct sw__token_request *r, struct sw_err *reterr)
{
        const char *dir = c->arc_dir ? c->arc_dir : "/var/opt/azcmagent/tokens";
        const char *at = strstr(challenge, "realm=");
        struct sw_secret_ref ref = { 0 };
        struct sw_secret key = SW_SECRET_NULL;
        struct sw_buf value = SW_BUF_NULL;
        char path[PATH_MAX];
        size_t n, dir_n = strlen(dir);
        int rc;

        at = at ? at + 6 + (at[6] == '"') : "";
        n = strcspn(at, "\"\r\n ");
        if (n == 0 || n >= sizeof(path))
                return sw_err_set(reterr, -SW_ERR_UNAVAIL, "Arc's answer names no challenge file");
        memcpy(path, at, n);
        path[n] = '\0';
        /* whoever answers on that port may not make us read and send any file */
        if (n < 5 || strncmp(path, dir, dir_n) != 0 || path[dir_n] != '/' || strchr(path + dir_n + 1, '/') ||
                strcmp(path + n - 4, ".key") != 0)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "Arc's challenge names a file that is not a .key in %s", dir);
        ref.file = path;
        rc = request_secret(&ref, &key, reterr);
        if (rc == 0 && key.n > REQUEST_ARC_FILE_MAX)
                rc = sw_err_set(reterr, -SW_ERR_CONFIG, "Arc's challenge file is larger than 4 KiB");
        if (rc == 0) {
                sw_buf_puts(&value, "Basic ");
                sw_buf_put(&value, key.text, key.n);
                request_header(r, "Authorization", (struct sw_str){ value.p, value.failed ? 0 : value.n });
        } else if (rc == -SW_ERR_CONFIG) {
                sw_err_prefix(reterr, "Arc's challenge file (is the daemon's user in the group himds?)");
        }
        request_wipe(&value);
        sw_secret_deinit(&key);
        return rc;
}

/* ---- answers ---- */

static bool answer_i64(const struct sw_json *j, const char *key, int64_t *ret)
{
        const struct sw_json *v = sw_json_get(j, key);
        struct sw_str s = sw_json_str(v);
        uint64_t u;

        if (sw_json_i64(v, ret))
                return true;
        if (!s.p || !sw_parse_u64(s, &u) || u > INT64_MAX / 2000)
                return false;
        *ret = (int64_t)u;
        return true;
}

static bool answer_is_token(struct sw_str s)
{
        size_t i;

        for (i = 0; i < s.n; i++)
                if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
                        return false;
        return s.n > 0 && s.n <= REQUEST_TOKEN_MAX;
}

static int answer_token(const struct sw_json *j, struct sw__token_answer *ret, struct sw_err *reterr)
{
        struct sw_str bearer = sw_json_str(sw_json_get(j, "access_token")),
                      client = sw_json_str(sw_json_get(j, "client_id"));
        int64_t life_s, on;

        if (!answer_is_token(bearer))
                return sw_err_set(reterr, -SW_ERR_UNAVAIL, "the answer holds no token");
        if (!answer_i64(j, "expires_in", &life_s)) {
                if (!answer_i64(j, "expires_on", &on))
                        return sw_err_set(reterr, -SW_ERR_UNAVAIL, "the answer does not say when the token expires");
                life_s = on - sw_clock_wall().ms / 1000;
        }
        life_s = life_s < REQUEST_LIFE_MIN_S   ? REQUEST_LIFE_MIN_S
                 : life_s > REQUEST_LIFE_MAX_S ? REQUEST_LIFE_MAX_S
                                               : life_s;
        ret->life_ms = life_s * 1000;
        if (client.n < sizeof(ret->client_id) && answer_is_token(client))
                (void)snprintf(ret->client_id, sizeof(ret->client_id), "%s", client.p);
        sw_buf_reset(&ret->bearer);
        sw_buf_put_str(&ret->bearer, bearer);
        sw_buf_putc(&ret->bearer, '\0');
        return ret->bearer.failed ? sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory") : 0;
}

/* What Entra's numbers mean to who has to act. */
static const char *answer_advice(const struct sw_token_conf *c, struct sw_str text, int status)
{
        static const struct {
                const char *code, *advice;
        } known[] = {
                { "AADSTS7000215", "the client secret is wrong: is it the secret's value, not its id?" },
                { "AADSTS7000222", "the client secret has expired: make a new one and replace the file; no restart is "
                                   "needed" },
                { "AADSTS700016", "the application is not known in this tenant: look at client_id and tenant" },
                { "AADSTS700027", "the certificate is not registered with the application, or has expired" },
                { "AADSTS90002", "the tenant is not known: look at tenant and authority" },
                { "AADSTS900023", "the tenant is not known: look at tenant and authority" },
                { "AADSTS70021", "no federated credential of the application fits the token's issuer and subject" },
                { "AADSTS500011", "the audience is not known in this cloud: look at audience" },
        };
        size_t i;

        for (i = 0; i < sizeof(known) / sizeof(*known); i++)
                if (text.p && memmem(text.p, text.n, known[i].code, strlen(known[i].code)))
                        return known[i].advice;
        if (c->kind >= SW_AUTH_IMDS && status == 400)
                return "this machine has no such identity: assign one, or look at the id in managed_identity";
        return "trying on";
}

int sw__token_answer_read(const struct sw_token_conf *c, const struct sw_httpc_answer *a, struct sw__token_answer *ret,
        struct sw_err *reterr)
{
        struct sw_json *j;
        struct sw_str words, error;
        bool config;
        int r;

        if (a->error != SW_HTTPC_OK)
                return sw_err_set(reterr, -SW_ERR_UNAVAIL, "no token: %s: %s%s", sw_httpc_error_text(a->error), a->text,
                        c->kind == SW_AUTH_IMDS ? "; is this a virtual machine in Azure?" : "");
        j = sw_json_parse(a->body);
        if (a->status == 200) {
                r = answer_token(j, ret, reterr);
                sw_json_free(j);
                return r;
        }
        error = sw_json_str(sw_json_get(j, "error"));
        words = sw_json_str(sw_json_get(j, "error_description"));
        if (!words.n)
                words = error.n ? error : a->body;
        words.n = words.n && memchr(words.p, '\n', words.n)
                          ? (size_t)((const char *)memchr(words.p, '\n', words.n) - words.p)
                          : words.n;
        words = sw_utf8_cut(words, REQUEST_SHOWN / 2);
        config = a->status == 400 || a->status == 401 || a->status == 403;
        r = sw_err_set(reterr, config ? -SW_ERR_CONFIG : -SW_ERR_UNAVAIL, "no token: status %d: %.*s: %s", a->status,
                (int)words.n, words.p ? words.p : "", answer_advice(c, words, a->status));
        sw_json_free(j);
        return r;
}
