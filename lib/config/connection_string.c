/* SPDX-License-Identifier: Apache-2.0 */
#include "config/connection_string.h"

#include <string.h>

#define MAX_STRING 8192u

static const char *const azure_suffixes[] = { ".servicebus.windows.net", ".servicebus.usgovcloudapi.net",
        ".servicebus.chinacloudapi.cn", ".servicebus.cloudapi.de" };

enum { KEY_ENDPOINT, KEY_KEY_NAME, KEY_KEY, KEY_ENTITY, KEY_SIGNATURE, KEY_EMULATOR, N_KEYS };
static const char *const keys[N_KEYS] = {
        [KEY_ENDPOINT] = "Endpoint",
        [KEY_KEY_NAME] = "SharedAccessKeyName",
        [KEY_KEY] = "SharedAccessKey",
        [KEY_ENTITY] = "EntityPath",
        [KEY_SIGNATURE] = "SharedAccessSignature",
        [KEY_EMULATOR] = "UseDevelopmentEmulator",
};

static struct sw_str connection_trim(struct sw_str s)
{
        while (s.n && memchr(" \t\r\n", s.p[0], 4)) {
                s.p++;
                s.n--;
        }
        while (s.n && memchr(" \t\r\n", s.p[s.n - 1], 4))
                s.n--;
        return s;
}

/* Up to the first ';', which is taken off *rest. */
static struct sw_str connection_next(struct sw_str *rest)
{
        const char *semicolon = memchr(rest->p, ';', rest->n);
        struct sw_str pair = { rest->p, semicolon ? (size_t)(semicolon - rest->p) : rest->n };
        size_t taken = pair.n + (semicolon ? 1 : 0);

        rest->p += taken;
        rest->n -= taken;
        return connection_trim(pair);
}

static int connection_split(struct sw_str s, struct sw_str values[N_KEYS], struct sw_err *reterr)
{
        while (s.n) {
                struct sw_str pair = connection_next(&s), name, value;
                const char *equals;
                unsigned k;

                if (pair.n == 0)
                        continue;
                equals = memchr(pair.p, '=', pair.n);
                if (!equals)
                        return sw_err_set(reterr, -SW_ERR_CONFIG,
                                "the connection string has a part without '='; it must be pairs KEY=VALUE "
                                "separated by ';'");
                name = connection_trim((struct sw_str){ pair.p, (size_t)(equals - pair.p) });
                value = connection_trim((struct sw_str){ equals + 1, pair.n - (size_t)(equals - pair.p) - 1 });
                for (k = 0; k < N_KEYS && !sw_str_ieq(name, sw_str_of(keys[k])); k++)
                        ;
                if (k == N_KEYS)
                        continue; /* other clients' settings, as TransportType */
                if (values[k].p)
                        return sw_err_set(reterr, -SW_ERR_CONFIG, "the connection string has %s twice", keys[k]);
                values[k] = value;
        }
        return 0;
}

static int connection_check_keys(const struct sw_str values[N_KEYS], struct sw_err *reterr)
{
        static const unsigned needed[] = { KEY_ENDPOINT, KEY_KEY_NAME, KEY_KEY };
        size_t i;

        if (values[KEY_EMULATOR].p && sw_str_ieq(values[KEY_EMULATOR], SW_STR("true")))
                return sw_err_set(reterr, -SW_ERR_CONFIG,
                        "the connection string is for the Event Hubs emulator (UseDevelopmentEmulator); use "
                        "kind: kafka with its brokers");
        if (values[KEY_SIGNATURE].p && !values[KEY_KEY].p)
                return sw_err_set(reterr, -SW_ERR_CONFIG,
                        "the connection string has a SharedAccessSignature; the Kafka endpoint of Event Hubs accepts "
                        "only SharedAccessKeyName and SharedAccessKey");
        for (i = 0; i < sizeof(needed) / sizeof(*needed); i++)
                if (values[needed[i]].n == 0)
                        return sw_err_set(reterr, -SW_ERR_CONFIG, "the connection string has no %s", keys[needed[i]]);
        return 0;
}

static bool connection_host_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* "sb://HOST[:PORT][/]" */
static int connection_endpoint(struct sw_str s, bool any_host, struct sw_connection_string *to, struct sw_err *reterr)
{
        struct sw_str scheme = SW_STR("sb://"), digits;
        uint64_t port = 0;
        size_t n = 0, i;

        if (s.n < scheme.n || !sw_str_ieq((struct sw_str){ s.p, scheme.n }, scheme))
                return sw_err_set(reterr, -SW_ERR_CONFIG,
                        "the Endpoint of the connection string does not begin with "
                        "sb://");
        s.p += scheme.n;
        s.n -= scheme.n;
        while (s.n && s.p[s.n - 1] == '/')
                s.n--;
        while (n < s.n && s.p[n] != ':')
                n++;
        if (n < s.n) {
                digits = (struct sw_str){ s.p + n + 1, s.n - n - 1 };
                if (!sw_parse_u64(digits, &port) || port == 0 || port > 65535)
                        return sw_err_set(reterr, -SW_ERR_CONFIG,
                                "the Endpoint of the connection string has a port "
                                "that is not 1..65535");
        }
        if (n == 0 || n >= sizeof(to->host))
                return sw_err_set(reterr, -SW_ERR_CONFIG, "the Endpoint of the connection string has %s",
                        n ? "a host name that is too long" : "no host name");
        for (i = 0; i < n; i++) {
                to->host[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + ('a' - 'A') : s.p[i]);
                if (!connection_host_char(to->host[i]))
                        return sw_err_set(
                                reterr, -SW_ERR_CONFIG, "the Endpoint of the connection string is not a host name");
        }
        to->host[n] = '\0';
        to->port = (uint16_t)port;
        for (i = 0; i < sizeof(azure_suffixes) / sizeof(*azure_suffixes); i++) {
                size_t m = strlen(azure_suffixes[i]);

                if (n > m && memcmp(to->host + n - m, azure_suffixes[i], m) == 0)
                        to->is_azure = true;
        }
        if (!to->is_azure && !any_host)
                return sw_err_set(reterr, -SW_ERR_CONFIG,
                        "the Endpoint '%.100s' is not an Event Hubs namespace (NAME%s or a national cloud's); for "
                        "another host set `brokers`",
                        to->host, azure_suffixes[0]);
        return 0;
}

static int connection_copy(struct sw_str s, const char *what, char to[SW_CONNECTION_NAME], struct sw_err *reterr)
{
        size_t i;

        if (s.n >= SW_CONNECTION_NAME)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "the %s of the connection string is too long", what);
        for (i = 0; i < s.n; i++)
                if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f)
                        return sw_err_set(reterr, -SW_ERR_CONFIG,
                                "the %s of the connection string has a space or a byte that is not ASCII", what);
        memcpy(to, s.n ? s.p : "", s.n);
        to[s.n] = '\0';
        return 0;
}

int sw_connection_string_parse(struct sw_str s, bool any_host, struct sw_connection_string *ret, struct sw_err *reterr)
{
        struct sw_connection_string c = { 0 };
        struct sw_str values[N_KEYS] = { { 0 } };
        int r;

        s = connection_trim(s);
        if (s.n == 0)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "the connection string is empty");
        if (s.n > MAX_STRING)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "the connection string is longer than %u bytes", MAX_STRING);
        if (memchr(s.p, '\0', s.n) || memchr(s.p, '\n', s.n))
                return sw_err_set(reterr, -SW_ERR_CONFIG, "the connection string is more than one line of text");
        r = connection_split(s, values, reterr);
        if (r == 0)
                r = connection_check_keys(values, reterr);
        if (r == 0)
                r = connection_endpoint(values[KEY_ENDPOINT], any_host, &c, reterr);
        if (r == 0)
                r = connection_copy(values[KEY_KEY_NAME], keys[KEY_KEY_NAME], c.key_name, reterr);
        if (r == 0)
                r = connection_copy(values[KEY_ENTITY], keys[KEY_ENTITY], c.entity_path, reterr);
        if (r == 0)
                *ret = c;
        return r;
}
