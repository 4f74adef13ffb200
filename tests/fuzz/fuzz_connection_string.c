/* SPDX-License-Identifier: Apache-2.0 */
/* Connection strings: what is read is bounded and clean, and no message depends on the
 * key: a second string that differs in its secrets alone is refused with the same words. (That a message does not
 * contain the key cannot be asked: a key may be spelled like a word of the message.) */
#include "config/connection_string.h"
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

static bool name_is(const char *p, size_t n, const char *name)
{
        while (n && strchr(" \t\r\n", *p) && *p) {
                p++;
                n--;
        }
        while (n && strchr(" \t\r\n", p[n - 1]) && p[n - 1])
                n--;
        return n == strlen(name) && strncasecmp(p, name, n) == 0;
}

/* Every printable byte of every value but the endpoint's becomes another one: the key, its name, the hub, a signature,
 * a key that was pasted without its name. Messages may say that one is missing, doubled, too long or has a space. */
static void disguise(char *text, size_t n)
{
        size_t from, end, equals, i;

        for (from = 0; from < n; from = end + 1) {
                for (end = from; end < n && text[end] != ';';)
                        end++;
                for (equals = from; equals < end && text[equals] != '=';)
                        equals++;
                if (name_is(text + from, equals - from, "Endpoint") ||
                        name_is(text + from, equals - from, "UseDevelopmentEmulator"))
                        continue;
                for (i = equals < end ? equals + 1 : from; i < end; i++)
                        if (text[i] > 0x20 && text[i] < 0x7f)
                                text[i] = text[i] == 'q' ? 'z' : 'q';
        }
}

static void check_result(const struct sw_connection_string *c)
{
        size_t n = strlen(c->host), i;

        FUZZ_CHECK(n > 0 && n < sizeof(c->host), "host of %zu bytes", n);
        FUZZ_CHECK(*c->key_name && memchr(c->entity_path, '\0', sizeof(c->entity_path)), "not terminated");
        for (i = 0; i < n; i++)
                FUZZ_CHECK(!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ:/@;= \t", c->host[i]), "host '%s'", c->host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_str s = { (const char *)data, size };
        struct sw_connection_string strict, any, other;
        struct sw_err err = SW_ERR_NULL, other_err = SW_ERR_NULL;
        char *text = malloc(size + 1);
        int a, b;

        if (!text)
                return 0;
        memcpy(text, data, size);
        a = sw_connection_string_parse(s, false, &strict, &err);
        disguise(text, size);
        b = sw_connection_string_parse((struct sw_str){ text, size }, false, &other, &other_err);
        FUZZ_CHECK(a == b && strcmp(err.msg, other_err.msg) == 0, "what is said depends on a secret: %d '%s', %d '%s'",
                a, err.msg, b, other_err.msg);
        b = sw_connection_string_parse(s, true, &any, &err);
        if (a == 0) {
                check_result(&strict);
                FUZZ_CHECK(b == 0 && strict.is_azure && strcmp(strict.host, any.host) == 0, "any host is stricter");
        }
        if (b == 0)
                check_result(&any);
        free(text);
        return 0;
}
