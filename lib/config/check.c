/* SPDX-License-Identifier: Apache-2.0 */
#include "config/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_add(
        struct sw_conf_check *check, const struct sw_conf_place *place, int code, const char *fmt, va_list ap)
{
        struct sw_err *e;
        size_t n;

        if (code)
                check->n_errors++;
        else
                check->n_warnings++;
        if (check->n_items == check->max_items)
                return;
        e = &check->items[check->n_items++];
        *e = SW_ERR_NULL;
        e->code = code;
        (void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
        if (!place)
                return;
        e->line = place->line;
        e->column = place->column;
        if (!place->file)
                return;
        /* Of a long path the end says more than the beginning. */
        n = strlen(place->file);
        (void)snprintf(e->file, sizeof(e->file), "%s",
                n < sizeof(e->file) ? place->file : place->file + n - (sizeof(e->file) - 1));
}

void sw_conf_error(struct sw_conf_check *check, const struct sw_conf_place *place, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        check_add(check, place, -SW_ERR_CONFIG, fmt, ap);
        va_end(ap);
}

void sw_conf_warn(struct sw_conf_check *check, const struct sw_conf_place *place, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        check_add(check, place, 0, fmt, ap);
        va_end(ap);
}

static size_t check_file_rank(const char *const *files, const char *file)
{
        size_t i, n = strlen(file);

        for (i = 0; files[i]; i++) {
                size_t m = strlen(files[i]);

                if (m >= n && strcmp(files[i] + m - n, file) == 0)
                        return i;
        }
        return i;
}

static int check_cmp(const struct sw_err *a, const struct sw_err *b, const char *const *files)
{
        size_t fa = check_file_rank(files, a->file), fb = check_file_rank(files, b->file);

        if (fa != fb)
                return fa < fb ? -1 : 1;
        if (a->line != b->line)
                return a->line < b->line ? -1 : 1;
        return (a->column > b->column) - (a->column < b->column);
}

void sw_conf_check_sort(struct sw_conf_check *check, const char *const *files)
{
        uint32_t i, k;

        /* Insertion sort: stable, and there are at most a hundred. */
        for (i = 1; i < check->n_items; i++) {
                struct sw_err e = check->items[i];

                for (k = i; k > 0 && check_cmp(&check->items[k - 1], &e, files) > 0; k--)
                        check->items[k] = check->items[k - 1];
                check->items[k] = e;
        }
}

static bool check_has(struct sw_str s, const char *word)
{
        size_t n = strlen(word), i;

        for (i = 0; i + n <= s.n; i++)
                if (sw_str_ieq((struct sw_str){ s.p + i, n }, (struct sw_str){ word, n }))
                        return true;
        return false;
}

char *sw_conf_show(struct sw_str s, char buf[SW_CONF_SHOWN])
{
        static const char *const secret[] = { "sharedaccess", "password", "secret", "sig=", "accountkey" };
        size_t n = 0, i;

        for (i = 0; i < sizeof(secret) / sizeof(*secret); i++)
                if (check_has(s, secret[i])) {
                        (void)snprintf(buf, SW_CONF_SHOWN, "(not shown)");
                        return buf;
                }
        for (i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if (n + 8 > SW_CONF_SHOWN) {
                        while (n > 0 && ((unsigned char)buf[n - 1] & 0xc0) == 0x80)
                                n--; /* not in the middle of a character */
                        if (n > 0 && ((unsigned char)buf[n - 1] & 0x80))
                                n--;
                        (void)snprintf(buf + n, SW_CONF_SHOWN - n, "...");
                        return buf;
                }
                if (c < 0x20 || c == 0x7f)
                        n += (size_t)snprintf(buf + n, SW_CONF_SHOWN - n, "\\x%02x", c);
                else
                        buf[n++] = (char)c;
        }
        buf[n] = '\0';
        return buf;
}

struct sw_conf_guess sw_conf_guess_start(struct sw_str wanted)
{
        return (struct sw_conf_guess){ .wanted = wanted, .distance = wanted.n < 3 ? 1 : (unsigned)(wanted.n / 3) + 1 };
}

void sw_conf_guess_add(struct sw_conf_guess *g, const char *candidate)
{
        unsigned d;

        if (!candidate || !*candidate || g->wanted.n > 64)
                return;
        d = sw_str_distance(g->wanted, sw_str_of(candidate));
        if (d < g->distance || (d == g->distance && !g->best)) {
                g->distance = d;
                g->best = candidate;
        }
}

char *sw_conf_guess_hint(const struct sw_conf_guess *g, char buf[SW_CONF_HINT])
{
        char shown[SW_CONF_SHOWN];

        *buf = '\0';
        if (g->best)
                (void)snprintf(buf, SW_CONF_HINT, "; did you mean '%s'?", sw_conf_show(sw_str_of(g->best), shown));
        return buf;
}
