/* SPDX-License-Identifier: Apache-2.0 */
#include "azure/token.h"

#include "azure/token_int.h"
#include "http_kit.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

/* The whole process lives so much later, by the monotonic clock. */
static atomic_llong later_ms;

int clock_gettime(clockid_t id, struct timespec *ts)
{
        long r = syscall(SYS_clock_gettime, id, ts);

        if (r == 0 && id == CLOCK_MONOTONIC) {
                ts->tv_sec += later_ms / 1000;
                ts->tv_nsec += later_ms % 1000 * 1000000;
                if (ts->tv_nsec >= 1000000000) {
                        ts->tv_sec++;
                        ts->tv_nsec -= 1000000000;
                }
        }
        return (int)r;
}

static char dir[64], path[96];

static void in_a_folder(void)
{
        snprintf(dir, sizeof(dir), "/tmp/segwatch-token-XXXXXX");
        cr_assert(mkdtemp(dir));
        unsetenv("IDENTITY_ENDPOINT");
        unsetenv("IDENTITY_HEADER");
        unsetenv("AZURE_FEDERATED_TOKEN_FILE");
}

static void remove_folder(void)
{
        char command[96];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

TestSuite(token, .init = in_a_folder, .fini = remove_folder);

static char *file(const char *name, const char *text)
{
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        f = fopen(path, "w");
        cr_assert(f);
        fputs(text, f);
        cr_assert_eq(fclose(f), 0);
        return path;
}

static struct sw_token_conf conf_of(enum sw_auth_kind kind)
{
        return (struct sw_token_conf){ .name = "s",
                .kind = kind,
                .tenant = "t/enant",
                .client_id = "client",
                .authority = "https://login.example",
                .audience = "https://monitor.azure.com" };
}

/* ---- requests ---- */

struct made {
        int r;
        struct sw_err err;
        char url[512], body[2048], headers[4][256];
        unsigned n_headers;
        bool post, direct;
};

static struct made make(const struct sw_token_conf *c, const char *challenge)
{
        struct sw__token_request q = { 0 };
        struct made m = { .err = SW_ERR_NULL };
        unsigned i;

        m.r = challenge ? sw__token_request_arc(c, challenge, &q, &m.err) : sw__token_request_make(c, &q, &m.err);
        if (q.url.p)
                snprintf(m.url, sizeof(m.url), "%s", q.url.p);
        snprintf(m.body, sizeof(m.body), "%.*s", (int)q.body.n, q.body.p ? q.body.p : "");
        m.n_headers = q.n_headers;
        for (i = 0; i < q.n_headers; i++)
                snprintf(m.headers[i], sizeof(m.headers[i]), "%s", q.lines[i]);
        m.post = q.post;
        m.direct = q.direct;
        sw__token_request_deinit(&q);
        return m;
}

Test(token, asks_entra_with_a_secret)
{
        struct sw_token_conf c = conf_of(SW_AUTH_SECRET);
        struct made m;

        c.secret.file = file("secret", "a b&c\n");
        m = make(&c, NULL);
        cr_assert_eq(m.r, 0, "%s", m.err.msg);
        cr_assert(m.post);
        cr_assert_str_eq(m.url, "https://login.example/t%2Fenant/oauth2/v2.0/token");
        cr_assert_str_eq(m.body,
                "grant_type=client_credentials&client_id=client&scope=https%3A%2F%2Fmonitor.azure.com%2F."
                "default&client_secret=a%20b%26c");
        unlink(path);
        m = make(&c, NULL);
        cr_assert_eq(m.r, -SW_ERR_CONFIG);
        cr_assert(strstr(m.err.msg, "No such file"));
}

Test(token, asks_entra_with_a_federated_token)
{
        struct sw_token_conf c = conf_of(SW_AUTH_FEDERATED);
        char named[96], long_name[5000];
        struct made m = make(&c, NULL);

        cr_assert_eq(m.r, -SW_ERR_CONFIG);
        cr_assert(strstr(m.err.msg, "neither token_file nor AZURE_FEDERATED_TOKEN_FILE"));
        setenv("AZURE_FEDERATED_TOKEN_FILE", "", 1);
        cr_assert_eq(make(&c, NULL).r, -SW_ERR_CONFIG);
        snprintf(named, sizeof(named), "%s", file("jwt", "e30.e30.x"));
        setenv("AZURE_FEDERATED_TOKEN_FILE", named, 1);
        m = make(&c, NULL);
        cr_assert_eq(m.r, 0, "%s", m.err.msg);
        cr_assert(strstr(
                m.body, "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"));
        cr_assert(strstr(m.body, "&client_assertion=e30.e30.x"));
        c.token_file = "/nonexistent";
        cr_assert_eq(make(&c, NULL).r, -SW_ERR_CONFIG);
        memset(long_name, 'x', sizeof(long_name) - 1);
        long_name[sizeof(long_name) - 1] = '\0';
        c.token_file = long_name;
        cr_assert_eq(make(&c, NULL).r, -SW_ERR_CONFIG);
}

Test(token, a_certificate_that_is_none_is_a_matter_of_configuration)
{
        struct sw_token_conf c = conf_of(SW_AUTH_CERTIFICATE);

        c.secret.file = file("pem", "no key\n");
        cr_assert_eq(make(&c, NULL).r, -SW_ERR_CONFIG);
        c.secret.file = dir;
        cr_assert_eq(make(&c, NULL).r, -SW_ERR_CONFIG);
}

Test(token, asks_the_machine)
{
        struct sw_token_conf c = conf_of(SW_AUTH_IMDS);
        struct made m = make(&c, NULL);

        cr_assert_eq(m.r, 0);
        cr_assert(m.direct && !m.post);
        cr_assert_str_eq(m.url, "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
                                "https%3A%2F%2Fmonitor.azure.com%2F");
        cr_assert_str_eq(m.headers[0], "Metadata: true");
        c.identity_key = "object_id";
        c.identity = "a/b";
        c.endpoint = "http://h/x";
        cr_assert_str_eq(make(&c, NULL).url,
                "http://h/x?api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com%2F&object_id=a%2Fb");
        c = conf_of(SW_AUTH_ARC);
        cr_assert(strstr(
                make(&c, NULL).url, "http://127.0.0.1:40342/metadata/identity/oauth2/token?api-version=2020-06-01"));
}

Test(token, asks_the_app_service_that_the_environment_names)
{
        struct sw_token_conf c = conf_of(SW_AUTH_APP_SERVICE);
        struct made m = make(&c, NULL);

        cr_assert_eq(m.r, -SW_ERR_CONFIG);
        cr_assert(strstr(m.err.msg, "IDENTITY_ENDPOINT and IDENTITY_HEADER are not set"));
        setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:42/msi/token", 1);
        cr_assert_eq(make(&c, NULL).r, -SW_ERR_CONFIG, "the header is needed, too");
        setenv("IDENTITY_HEADER", "0f0f", 1);
        m = make(&c, NULL);
        cr_assert_eq(m.r, 0);
        cr_assert(strstr(m.url, "http://127.0.0.1:42/msi/token?api-version=2019-08-01"));
        cr_assert_str_eq(m.headers[0], "X-IDENTITY-HEADER: 0f0f");
        c.endpoint = "http://h/y";
        cr_assert(strstr(make(&c, NULL).url, "http://h/y?"));
}

Test(token, the_file_of_arc_is_taken_from_its_folder_only)
{
        struct sw_token_conf c = conf_of(SW_AUTH_ARC);
        char challenge[6000], key[96];
        struct made m;
        size_t i;
        static const struct {
                const char *challenge;
                int r;
        } rows[] = {
                { "", -SW_ERR_UNAVAIL },
                { "Basic", -SW_ERR_UNAVAIL },
                { "Basic realm=", -SW_ERR_UNAVAIL },
                { "Basic realm=\"\"", -SW_ERR_UNAVAIL },
                { "Basic realm=x", -SW_ERR_CONFIG },
                { "Basic realm=/etc/passwd.key", -SW_ERR_CONFIG },
                { "Basic realm=%s/../x.key", -SW_ERR_CONFIG },
                { "Basic realm=%s/sub/x.key", -SW_ERR_CONFIG },
                { "Basic realm=%sx.key", -SW_ERR_CONFIG },
                { "Basic realm=%s/one.txt", -SW_ERR_CONFIG },
                { "Basic realm=%s/none.key", -SW_ERR_CONFIG },
                { "Basic realm=%s/large.key", -SW_ERR_CONFIG },
                { "Basic realm=%s/one.key", 0 },
                { "Basic realm=\"%s/one.key\", more", 0 },
        };

        file("one.txt", "k");
        snprintf(key, sizeof(key), "%s", file("one.key", "the key"));
        memset(challenge, 'k', 5000);
        challenge[5000] = '\0';
        file("large.key", challenge);
        c.arc_dir = dir;
        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                const char *at = strstr(rows[i].challenge, "%s");

                snprintf(challenge, sizeof(challenge), "%.*s%s%s",
                        at ? (int)(at - rows[i].challenge) : (int)strlen(rows[i].challenge), rows[i].challenge,
                        at ? dir : "", at ? at + 2 : "");
                m = make(&c, challenge);
                cr_expect_eq(m.r, rows[i].r, "%s: %d %s", challenge, m.r, m.err.msg);
                if (m.r == 0)
                        cr_expect_str_eq(m.headers[0], "Authorization: Basic the key");
        }
        memcpy(challenge, "Basic realm=", 12);
        memset(challenge + 12, 'x', 5000);
        challenge[5012] = '\0';
        cr_assert_eq(make(&c, challenge).r, -SW_ERR_UNAVAIL);
        c.arc_dir = NULL;
        cr_assert_eq(make(&c, challenge).r, -SW_ERR_UNAVAIL);
        snprintf(challenge, sizeof(challenge), "Basic realm=%s", key);
        cr_assert_eq(make(&c, challenge).r, -SW_ERR_CONFIG, "the folder of Arc is another one");
}

/* ---- answers ---- */

struct got {
        int r;
        struct sw_err err;
        char bearer[64], client_id[80];
        int64_t life_ms;
};

static struct got read_answer(enum sw_auth_kind kind, int status, const char *body)
{
        struct sw_token_conf c = conf_of(kind);
        const struct sw_httpc_answer a = { .status = status, .body = sw_str_of(body), .challenge = "" };
        struct sw__token_answer t = { .bearer = SW_BUF_NULL };
        struct got g = { .err = SW_ERR_NULL };

        g.r = sw__token_answer_read(&c, &a, &t, &g.err);
        if (g.r == 0) {
                snprintf(g.bearer, sizeof(g.bearer), "%s", t.bearer.p);
                snprintf(g.client_id, sizeof(g.client_id), "%s", t.client_id);
                g.life_ms = t.life_ms;
        }
        sw_buf_deinit(&t.bearer);
        return g;
}

Test(token, answers_with_a_token)
{
        struct got g =
                read_answer(SW_AUTH_SECRET, 200, "{\"access_token\":\"abc\",\"expires_in\":3599,\"client_id\":\"me\"}");
        char body[256];

        cr_assert_eq(g.r, 0);
        cr_assert_str_eq(g.bearer, "abc");
        cr_assert_str_eq(g.client_id, "me");
        cr_assert_eq(g.life_ms, 3599000);
        cr_assert_eq(read_answer(SW_AUTH_IMDS, 200, "{\"access_token\":\"abc\",\"expires_in\":\"86399\"}").life_ms,
                86399000);
        snprintf(body, sizeof(body), "{\"access_token\":\"abc\",\"expires_on\":\"%lld\",\"client_id\":\"a b\"}",
                (long long)sw_clock_wall().ms / 1000 + 7200);
        g = read_answer(SW_AUTH_IMDS, 200, body);
        cr_assert(g.life_ms > 7100000 && g.life_ms <= 7200000);
        cr_assert_str_eq(g.client_id, "", "no id");
        g = read_answer(SW_AUTH_IMDS, 200, "{\"access_token\":\"abc\",\"expires_in\":-5}");
        cr_assert(g.r == 0 && g.life_ms > 0 && g.life_ms < 600000,
                "a clock that is wrong must not make us ask all the time");
        g = read_answer(SW_AUTH_IMDS, 200, "{\"access_token\":\"abc\",\"expires_in\":999999999}");
        cr_assert(g.r == 0 && g.life_ms < INT64_C(999999999000));
}

Test(token, answers_without_one)
{
        static const char *const bodies[] = { "", "no json", "[]", "{}", "{\"access_token\":\"\",\"expires_in\":9}",
                "{\"access_token\":\"a b\",\"expires_in\":9}", "{\"access_token\":\"a\x7f\",\"expires_in\":9}",
                "{\"access_token\":\"a\"}", "{\"access_token\":\"a\",\"expires_in\":\"soon\"}",
                "{\"access_token\":\"a\",\"expires_on\":\"99999999999999999\"}" };
        size_t i;

        for (i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
                cr_expect_eq(read_answer(SW_AUTH_SECRET, 200, bodies[i]).r, -SW_ERR_UNAVAIL, "%s", bodies[i]);
}

Test(token, what_entra_refuses_comes_with_what_to_do)
{
        static const struct {
                enum sw_auth_kind kind;
                int status, r;
                const char *body, *said;
        } rows[] = {
                { SW_AUTH_SECRET, 401, -SW_ERR_CONFIG,
                        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid.\\nTrace\"}",
                        "status 401: AADSTS7000215: Invalid.: the client secret is wrong" },
                { SW_AUTH_SECRET, 401, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS7000222\"}", "has expired" },
                { SW_AUTH_SECRET, 400, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS700016\"}",
                        "not known in this tenant" },
                { SW_AUTH_CERTIFICATE, 401, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS700027\"}",
                        "not registered" },
                { SW_AUTH_SECRET, 400, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS90002\"}",
                        "the tenant is not known" },
                { SW_AUTH_SECRET, 400, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS900023\"}",
                        "the tenant is not known" },
                { SW_AUTH_FEDERATED, 400, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS70021\"}", "no federated" },
                { SW_AUTH_SECRET, 400, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS500011\"}", "look at audience" },
                { SW_AUTH_SECRET, 403, -SW_ERR_CONFIG, "{\"error\":\"forbidden\"}", "403: forbidden: trying on" },
                { SW_AUTH_SECRET, 400, -SW_ERR_CONFIG, "{\"error_description\":\"AADSTS1\"}", "trying on" },
                { SW_AUTH_IMDS, 400, -SW_ERR_CONFIG, "{\"error\":\"invalid_request\"}", "has no such identity" },
                { SW_AUTH_IMDS, 404, -SW_ERR_UNAVAIL, "", "status 404: : trying on" },
                { SW_AUTH_SECRET, 503, -SW_ERR_UNAVAIL, "<html>\n<p>", "status 503: <html>: trying on" },
        };
        struct got g;
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                g = read_answer(rows[i].kind, rows[i].status, rows[i].body);
                cr_expect_eq(g.r, rows[i].r, "%s", rows[i].body);
                cr_expect(strstr(g.err.msg, rows[i].said), "'%s' does not say: %s", g.err.msg, rows[i].said);
        }
}

/* ---- the life of a token ---- */

struct life {
        struct http_kit kit;
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_httpc *http;
        struct sw_token *token;
        int n, code;
        bool runs;
        uint64_t generation;
        int64_t retry_after_ms;
        char bearer[64], message[512];
};

static void told(void *ctx, const struct sw_token_result *r)
{
        struct life *l = ctx;

        l->n++;
        l->code = r->code;
        l->generation = r->generation;
        l->retry_after_ms = r->retry_after_ms;
        snprintf(l->bearer, sizeof(l->bearer), "%s", r->bearer ? r->bearer : "");
        snprintf(l->message, sizeof(l->message), "%s", r->message);
        if (l->runs)
                sw_loop_stop(l->loop);
}

static void other_told(void *ctx, const struct sw_token_result *r)
{
        (void)r;
        ++*(int *)ctx;
}

#define TOKEN(name, life)                                                                                              \
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"access_token\":\"" name "\",\"expires_in\":" life "}"

static struct life *begin(enum sw_auth_kind kind, const char *const *answers)
{
        struct life *l = calloc(1, sizeof(*l));
        struct sw_token_conf c = conf_of(kind);
        char url[64];

        for (; *answers; answers++)
                http_kit_add(&l->kit, *answers);
        http_kit_start(&l->kit);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/token", l->kit.port);
        c.endpoint = url;
        c.arc_dir = dir;
        cr_assert_eq(sw_loop_new(&l->loop), 0);
        cr_assert_eq(sw_log_new(open("/dev/null", 1), SW_LOG_DEBUG, SW_LOG_LOGFMT, &l->log), 0);
        cr_assert_eq(sw_httpc_new(l->loop, "test", &l->http), 0);
        cr_assert_eq(sw_token_new(&c, l->http, l->log, &l->token), 0);
        return l;
}

static void end(struct life *l)
{
        sw_token_free(l->token);
        sw_httpc_free(l->http);
        sw_loop_free(l->loop);
        sw_log_free(l->log);
        http_kit_stop(&l->kit);
        free(l);
}

static void get(struct life *l)
{
        int n = l->n;

        l->runs = false;
        cr_assert_eq(sw_token_get(l->token, told, l), 0);
        l->runs = l->n == n;
        if (l->runs)
                sw_loop_run(l->loop);
        cr_assert_eq(l->n, n + 1);
}

Test(token, serves_until_it_is_refused_and_then_is_fetched_once)
{
        static const char *const answers[] = { TOKEN("one", "3600"), TOKEN("two", "3600"), NULL };
        struct life *l = begin(SW_AUTH_IMDS, answers);

        get(l);
        cr_assert_str_eq(l->bearer, "one");
        get(l);
        cr_assert_eq(sw_token_requests(l->token), 1);
        cr_assert(sw_token_refused(l->token, 99), "another one than that is there already");
        cr_assert(sw_token_refused(l->token, l->generation));
        cr_assert(sw_token_refused(l->token, l->generation), "known");
        get(l);
        cr_assert_str_eq(l->bearer, "two");
        cr_assert_not(sw_token_refused(l->token, l->generation), "a third one would not help");
        sw_token_accepted(l->token);
        cr_assert(sw_token_refused(l->token, l->generation));
        end(l);
}

static void stop_loop(void *ctx)
{
        sw_loop_stop(ctx);
}

/* What was begun in the background comes to its end. */
static void settle(struct life *l)
{
        struct sw_watch *w;

        cr_assert_eq(sw_loop_timer(l->loop, 50, 0, stop_loop, l->loop, &w), 0);
        sw_loop_run(l->loop);
        sw_watch_close(w);
}

static void expect(struct life *l, const char *bearer, uint64_t requests)
{
        get(l);
        settle(l);
        cr_assert_eq(l->code, 0, "%s", l->message);
        cr_assert_str_eq(l->bearer, bearer);
        cr_assert_eq(sw_token_requests(l->token), requests, "%llu requests",
                (unsigned long long)sw_token_requests(l->token));
}

Test(token, is_renewed_at_80_percent_of_its_life_and_serves_meanwhile)
{
        static const char *const answers[] = { TOKEN("one", "3600"), TOKEN("two", "3600"), NULL };
        struct life *l = begin(SW_AUTH_IMDS, answers);

        expect(l, "one", 1);
        later_ms += 2870 * 1000;
        expect(l, "one", 1); /* 79.7% */
        later_ms += 12 * 1000;
        expect(l, "one", 2); /* told before the new one is there */
        expect(l, "two", 2);
        later_ms += 2870 * 1000;
        expect(l, "two", 2); /* its own life */
        end(l);
}

#define SAYS(status, headers) "HTTP/1.1 " status "\r\n" headers "Connection: close\r\n\r\n{\"error\":\"later\"}"

Test(token, who_gives_tokens_may_be_down_for_the_last_fifth)
{
        static const char *const answers[] = { TOKEN("one", "3600"), "", SAYS("503 No", ""),
                SAYS("429 No", "Retry-After: 120\r\n"), SAYS("400 No", ""), TOKEN("two", "3600"), NULL };
        struct life *l = begin(SW_AUTH_IMDS, answers);

        expect(l, "one", 1);
        later_ms += 2900 * 1000;
        expect(l, "one", 2);
        later_ms += 4000;
        expect(l, "one", 2); /* not with every row */
        later_ms += 1500;
        expect(l, "one", 3);
        later_ms += 6000;
        expect(l, "one", 4);
        later_ms += 110 * 1000;
        expect(l, "one", 4); /* it wants to be left alone */
        later_ms += 11 * 1000;
        expect(l, "one", 5);
        later_ms += (3600 - 2900 - 4 - 2 - 6 - 121 - 10) * 1000;
        expect(l, "one", 6); /* ten seconds before its end */
        expect(l, "two", 6);
        end(l);
}

Test(token, who_says_retry_after_is_not_asked_before)
{
        static const char *const answers[] = { SAYS("429 No", "Retry-After: 60\r\n"),
                SAYS("503 No", "Retry-After: 86400\r\n"), TOKEN("one", "3600"), NULL };
        struct life *l = begin(SW_AUTH_IMDS, answers);

        get(l);
        cr_assert_eq(l->code, -SW_ERR_UNAVAIL);
        cr_assert_eq(l->retry_after_ms, 60000);
        later_ms += 58 * 1000;
        get(l);
        cr_assert_eq(sw_token_requests(l->token), 1);
        cr_assert_eq(l->code, -SW_ERR_UNAVAIL);
        cr_assert(strstr(l->message, "429"), "%s", l->message);
        cr_assert(l->retry_after_ms > 0 && l->retry_after_ms <= 2000, "%lld", (long long)l->retry_after_ms);
        later_ms += 2 * 1000;
        get(l);
        cr_assert_eq(sw_token_requests(l->token), 2);
        cr_assert_eq(l->retry_after_ms, 600000, "at most ten minutes");
        later_ms += 601 * 1000;
        get(l);
        cr_assert_eq(l->code, 0);
        cr_assert_eq(l->retry_after_ms, -1);
        end(l);
}

Test(token, who_waits_together_is_told_together_and_who_is_forgotten_is_not)
{
        static const char *const answers[] = { TOKEN("one", "3600"), NULL };
        struct life *l = begin(SW_AUTH_IMDS, answers);
        int first = 0, second = 0, third = 0;

        cr_assert_eq(sw_token_get(l->token, other_told, &first), 0);
        cr_assert_eq(sw_token_get(l->token, other_told, &second), 0);
        cr_assert_eq(sw_token_get(l->token, other_told, &third), 0);
        sw_token_forget(l->token, &second);
        sw_token_forget(l->token, &second);
        get(l);
        cr_assert_eq(first, 1);
        cr_assert_eq(second, 0);
        cr_assert_eq(third, 1);
        cr_assert_eq(sw_token_requests(l->token), 1);
        end(l);
}

Test(token, an_outage_is_told_and_the_next_one_who_asks_tries_again)
{
        static const char *const answers[] = { "", "HTTP/1.1 400 No\r\nConnection: close\r\n\r\n{\"error\":\"x\"}",
                TOKEN("one", "3600"), NULL };
        struct life *l = begin(SW_AUTH_IMDS, answers);

        get(l);
        cr_assert_eq(l->code, -SW_ERR_UNAVAIL);
        cr_assert(strstr(l->message, "is this a virtual machine in Azure?"), "%s", l->message);
        get(l);
        cr_assert_eq(l->code, -SW_ERR_CONFIG);
        get(l);
        cr_assert_eq(l->code, 0);
        cr_assert_str_eq(l->bearer, "one");
        end(l);
}

Test(token, what_cannot_be_asked_is_told_at_once)
{
        static const char *const answers[] = { NULL };
        struct life *l = begin(SW_AUTH_FEDERATED, answers);
        int n = 0;

        get(l);
        cr_assert_eq(l->code, -SW_ERR_CONFIG);
        cr_assert_eq(sw_token_requests(l->token), 0);
        cr_assert_eq(sw_token_get(l->token, other_told, &n), 0);
        cr_assert_eq(n, 1);
        sw_loop_stop(l->loop); /* and never run: no hindrance for its end */
        end(l);
}

Test(token, arc_is_answered_with_its_file_once)
{
        char challenge[256];
        const char *answers[] = { challenge, TOKEN("one", "3600"), challenge, challenge, NULL };
        struct life *l;

        file("one.key", "the key");
        snprintf(challenge, sizeof(challenge),
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=%s/one.key\r\nConnection: close\r\n\r\n", dir);
        l = begin(SW_AUTH_ARC, answers);
        get(l);
        cr_assert_str_eq(l->bearer, "one");
        cr_assert(strstr(l->kit.requests[1], "Authorization: Basic the key\r\n"));
        cr_assert(sw_token_refused(l->token, l->generation));
        get(l);
        cr_assert_eq(l->code, -SW_ERR_CONFIG, "refused again: no third time");
        end(l);
}

Test(token, under_way_when_everything_ends)
{
        static const char *const answers[] = { "", NULL };
        struct life *l = begin(SW_AUTH_IMDS, answers);
        int n = 0;

        cr_assert_eq(sw_token_get(l->token, other_told, &n), 0);
        cr_assert_eq(sw_token_get(l->token, other_told, &n), 0);
        end(l);
        cr_assert_eq(n, 0);
        cr_assert_null(sw_token_free(NULL));
}
