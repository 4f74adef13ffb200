/* SPDX-License-Identifier: Apache-2.0 */
#include "model/lines.h"

#include "base/alloc.h"

#include <string.h>

void sw_lines_reset(struct sw_lines *l)
{
        sw_buf_reset(&l->text);
        l->n = 0;
}

void sw_lines_deinit(struct sw_lines *l)
{
        sw_buf_deinit(&l->text);
        sw_free(l->items);
        *l = (struct sw_lines){ 0 };
}

int sw_lines_add(struct sw_lines *l, size_t from, uint8_t severity, const char uid[33])
{
        struct sw_line *line;

        if (l->n == l->cap) {
                uint32_t cap = l->cap ? l->cap * 2 : 16;

                line = sw_realloc_array(l->items, cap, sizeof(*line));
                if (!line)
                        return -SW_ERR_NOMEM;
                l->items = line;
                l->cap = cap;
        }
        line = &l->items[l->n];
        *line = (struct sw_line){ .offset = from, .n = l->text.n - from, .severity = severity };
        memcpy(line->uid, uid, sizeof(line->uid));
        line->uid[32] = '\0';
        sw_buf_putc(&l->text, '\n');
        if (l->text.failed)
                return -SW_ERR_NOMEM;
        l->n++;
        return 0;
}
