/* SPDX-License-Identifier: Apache-2.0 */
/* Connection strings: what is read is bounded and clean, and no message contains the key. */
#include "config/connection_string.h"
#include "fuzz.h"

#include <string.h>

/* Where the key stands, or NULL: searched by other means than the parser's. */
static const char *find_key(const char *text, char key[64])
{
        const char *at = strcasestr(text, "SharedAccessKey=");
        size_t n = at ? strcspn(at + 16, ";\r\n\t ") : 0;

        if (n < 8 || n > 63)
                return NULL;
        memcpy(key, at + 16, n);
        key[n] = '\0';
        return key;
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
        struct sw_connection_string strict, any;
        struct sw_err err = SW_ERR_NULL;
        char key[64], *text;
        int a, b;

        a = sw_connection_string_parse(s, false, &strict, &err);
        text = malloc(size + 1);
        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        if (a < 0 && find_key(text, key) && !strstr("Endpoint SharedAccessKeyName EntityPath", key)) {
                /* A host or hub that is spelled like the key may be named. */
                if (strcasestr(err.msg, key))
                        FUZZ_CHECK(strstr(err.msg, "Endpoint '"), "the key is shown: %s", err.msg);
        }
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
