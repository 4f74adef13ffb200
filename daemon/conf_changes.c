/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload cannot change: the options that differ and are not of the reload class, by name. */
#include "conf_lists.h"
#include "config/emit.h"

#include <string.h>

/* An option as the dump writes it. */
static void changes_emit(const struct sw_opt *row, const void *base, struct sw_buf *out)
{
        struct sw_opt one[2] = { *row };

        sw_buf_reset(out);
        sw_emit_yaml(out, one, base, 0);
}

struct changes {
        struct sw_buf before, after, *names;
};

static void changes_of(struct changes *c, const struct sw_opt *rows, const void *old, const void *new, const char *in)
{
        const struct sw_opt *row;

        for (row = rows; row->key; row++) {
                if (row->type == SW_OPT_SECTION) {
                        changes_of(c, row->rows, (const char *)old + row->offset, (const char *)new + row->offset,
                                row->key);
                        continue;
                }
                if (row->flags & (SW_OPT_RELOAD | SW_OPT_LATER))
                        continue;
                changes_emit(row, old, &c->before);
                changes_emit(row, new, &c->after);
                if (c->before.n == c->after.n &&
                        (c->before.n == 0 || memcmp(c->before.p, c->after.p, c->before.n) == 0))
                        continue;
                sw_buf_printf(c->names, "%s%s%s%s", c->names->n ? ", " : "", in, *in ? "." : "", row->key);
        }
}

void sw_conf_need_restart(const struct sw_conf *old, const struct sw_conf *new, struct sw_buf *names)
{
        struct changes c = { .names = names };

        changes_of(&c, sw_conf_tables[SW_CONF_SOURCES], old, new, "");
        changes_of(&c, sw_conf_tables[SW_CONF_LISTS], old->lists, new->lists, "");
        changes_of(&c, sw_conf_tables[SW_CONF_SETTINGS], old, new, "");
        names->failed = names->failed || c.before.failed || c.after.failed;
        sw_buf_deinit(&c.before);
        sw_buf_deinit(&c.after);
}
