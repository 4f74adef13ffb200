/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <cjson/cJSON.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#define JSON_EXACT 9007199254740992.0 /* 2^53 */

/* struct sw_json is cJSON under a name of our own. */
static const cJSON *json_in(const struct sw_json *j)
{
        return (const void *)j;
}

struct sw_json *sw_json_parse(struct sw_str text)
{
        const char *end = NULL;
        cJSON *root = text.p ? cJSON_ParseWithLengthOpts(text.p, text.n, &end, false) : NULL;

        if (!root)
                return NULL;
        while (end < text.p + text.n && memchr(" \t\r\n", *end, 4))
                end++;
        if (end < text.p + text.n) {
                cJSON_Delete(root);
                return NULL;
        }
        return (void *)root;
}

struct sw_json *sw_json_free(struct sw_json *j)
{
        cJSON_Delete((void *)j);
        return NULL;
}

const struct sw_json *sw_json_get(const struct sw_json *j, const char *key)
{
        return j ? (const void *)cJSON_GetObjectItemCaseSensitive(json_in(j), key) : NULL;
}

const struct sw_json *sw_json_first(const struct sw_json *j)
{
        return j ? (const void *)json_in(j)->child : NULL;
}

const struct sw_json *sw_json_next(const struct sw_json *j)
{
        return j ? (const void *)json_in(j)->next : NULL;
}

bool sw_json_is_object(const struct sw_json *j)
{
        return j && cJSON_IsObject(json_in(j));
}

enum sw_json_kind sw_json_kind(const struct sw_json *j)
{
        static const struct {
                int type;
                enum sw_json_kind kind;
        } kinds[] = { { cJSON_NULL, SW_JSON_NULL }, { cJSON_False, SW_JSON_FALSE }, { cJSON_True, SW_JSON_TRUE },
                { cJSON_Number, SW_JSON_NUMBER }, { cJSON_String, SW_JSON_STRING }, { cJSON_Array, SW_JSON_ARRAY },
                { cJSON_Object, SW_JSON_OBJECT } };
        size_t i;

        for (i = 0; j && i < sizeof(kinds) / sizeof(*kinds); i++)
                if ((json_in(j)->type & 0xff) == kinds[i].type)
                        return kinds[i].kind;
        return SW_JSON_NONE;
}

const struct sw_json *sw_json_at(const struct sw_json *j, const char *path)
{
        char key[64];

        while (j && *path) {
                size_t n = strcspn(path, ".[");

                if (*path == '[') {
                        int index = atoi(path + 1);

                        j = (const void *)cJSON_GetArrayItem(json_in(j), index);
                        n = strcspn(path, "]") + 1;
                } else {
                        if (n >= sizeof(key))
                                return NULL;
                        memcpy(key, path, n);
                        key[n] = '\0';
                        j = sw_json_get(j, key);
                }
                path += n;
                path += *path == '.';
        }
        return j;
}

struct sw_str sw_json_str(const struct sw_json *j)
{
        if (!j || !cJSON_IsString(json_in(j)))
                return SW_STR_NULL;
        return sw_str_of(json_in(j)->valuestring);
}

bool sw_json_i64(const struct sw_json *j, int64_t *ret)
{
        double v;

        if (!j || !cJSON_IsNumber(json_in(j)))
                return false;
        v = json_in(j)->valuedouble;
        if (!(v >= -JSON_EXACT && v <= JSON_EXACT))
                return false;
        *ret = (int64_t)v;
        return true;
}

bool sw_json_double(const struct sw_json *j, double *ret)
{
        double v;

        if (!j || !cJSON_IsNumber(json_in(j)))
                return false;
        v = json_in(j)->valuedouble;
        if (!(v >= -DBL_MAX && v <= DBL_MAX)) /* "1e999" */
                return false;
        *ret = v;
        return true;
}

struct sw_str sw_json_key(const struct sw_json *j)
{
        return j ? sw_str_of(json_in(j)->string) : SW_STR_NULL;
}
