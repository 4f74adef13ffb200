/* SPDX-License-Identifier: Apache-2.0 */
/* Our JSON reader against cJSON: what ours takes cJSON takes too, and both have the same tree. */
#include "base/json.h"
#include "fuzz.h"

#include <cjson/cJSON.h>
#include <string.h>

static void same(const struct sw_json *a, const cJSON *b)
{
        static const int types[] = { [SW_JSON_NONE] = cJSON_Invalid,
                [SW_JSON_NULL] = cJSON_NULL,
                [SW_JSON_FALSE] = cJSON_False,
                [SW_JSON_TRUE] = cJSON_True,
                [SW_JSON_NUMBER] = cJSON_Number,
                [SW_JSON_STRING] = cJSON_String,
                [SW_JSON_ARRAY] = cJSON_Array,
                [SW_JSON_OBJECT] = cJSON_Object };
        struct sw_str s = sw_json_str(a), key = sw_json_key(a);
        const struct sw_json *i;
        const cJSON *k;
        double v;

        FUZZ_CHECK(a && b, "one has more than the other");
        FUZZ_CHECK(types[sw_json_kind(a)] == (b->type & 0xff), "kind %d and %d", sw_json_kind(a), b->type);
        FUZZ_CHECK((key.p != NULL) == (b->string != NULL), "a key");
        FUZZ_CHECK(
                !key.p || (strcmp(key.p, b->string) == 0 && strlen(key.p) == key.n), "key %s and %s", key.p, b->string);
        if (cJSON_IsString(b))
                FUZZ_CHECK(strcmp(s.p, b->valuestring) == 0 && strlen(s.p) == s.n, "%s and %s", s.p, b->valuestring);
        if (sw_json_double(a, &v))
                FUZZ_CHECK(memcmp(&v, &b->valuedouble, sizeof(v)) == 0, "%.17g and %.17g", v, b->valuedouble);
        for (i = sw_json_first(a), k = b->child; i || k; i = sw_json_next(i), k = k->next)
                same(i, k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_json *a = sw_json_parse((struct sw_str){ (const char *)data, size });
        cJSON *b;

        if (!a)
                return 0;
        b = cJSON_ParseWithLength((const char *)data, size);
        /* cJSON reads numbers of at most 63 characters */
        if (b || size < 64)
                same(a, b);
        cJSON_Delete(b);
        sw_json_free(a);
        return 0;
}
