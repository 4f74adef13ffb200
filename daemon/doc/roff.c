/* SPDX-License-Identifier: Apache-2.0 */
#include "doc/doc.h"

#include <ctype.h>
#include <string.h>

void sw_roff_text(struct sw_buf *out, const char *text)
{
        if (*text == '.' || *text == '\'')
                sw_buf_puts(out, "\\&");
        for (; *text; text++)
                switch (*text) {
                case '-': /* a minus that can be copied, not a hyphen */
                        sw_buf_puts(out, "\\-");
                        break;
                case '\\':
                        sw_buf_puts(out, "\\e");
                        break;
                case '\'':
                        sw_buf_puts(out, "\\(aq");
                        break;
                case '`':
                        sw_buf_puts(out, "\\(ga");
                        break;
                case '^':
                        sw_buf_puts(out, "\\(ha");
                        break;
                case '~':
                        sw_buf_puts(out, "\\(ti");
                        break;
                case '\n':
                        sw_buf_putc(out, text[1] == '\n' ? ' ' : '\n');
                        if (text[1] == '.' || text[1] == '\'')
                                sw_buf_puts(out, "\\&");
                        break;
                default:
                        sw_buf_putc(out, *text);
                }
}

static void roff_upper(struct sw_buf *out, const char *text)
{
        for (; *text; text++)
                sw_buf_putc(out, (char)toupper((unsigned char)*text));
}

/* Without a date: the same sources give the same page. */
void sw_roff_head(struct sw_buf *out, const char *title, unsigned section, const char *manual)
{
        sw_buf_puts(out, ".\\\" Made from the program's tables of verbs and options.\n.TH ");
        roff_upper(out, title);
        sw_buf_printf(out, " %u \"\" \"segwatch %s\" \"%s\"\n.nh\n.ad l\n", section, SW_VERSION, manual);
}

void sw_roff_section(struct sw_buf *out, const char *title)
{
        sw_buf_puts(out, ".SH ");
        sw_roff_text(out, title);
        sw_buf_putc(out, '\n');
}

void sw_roff_subsection(struct sw_buf *out, const char *title)
{
        sw_buf_puts(out, ".SS ");
        sw_roff_text(out, title);
        sw_buf_putc(out, '\n');
}

void sw_roff_paragraphs(struct sw_buf *out, const char *text)
{
        const char *end;
        char piece[2048];

        for (; *text; text = *end ? end + 2 : end) {
                size_t n;

                end = strstr(text, "\n\n");
                end = end ? end : text + strlen(text);
                n = (size_t)(end - text);
                n = n < sizeof(piece) ? n : sizeof(piece) - 1;
                memcpy(piece, text, n);
                piece[n] = '\0';
                sw_buf_puts(out, ".PP\n");
                sw_roff_text(out, piece);
                sw_buf_putc(out, '\n');
        }
}

void sw_roff_item(struct sw_buf *out, const char *bold, const char *italic, const char *text)
{
        sw_buf_puts(out, ".TP\n\\fB");
        sw_roff_text(out, bold);
        sw_buf_puts(out, "\\fR");
        if (italic) {
                sw_buf_puts(out, " \\fI");
                sw_roff_text(out, italic);
                sw_buf_puts(out, "\\fR");
        }
        sw_buf_putc(out, '\n');
        sw_roff_text(out, text);
        sw_buf_putc(out, '\n');
}

void sw_roff_example(struct sw_buf *out, const char *lines)
{
        sw_buf_puts(out, ".PP\n.RS 4\n.EX\n");
        while (*lines) {
                size_t n = strcspn(lines, "\n");
                char line[512];

                (void)snprintf(line, sizeof(line), "%.*s", (int)n, lines);
                sw_roff_text(out, line);
                sw_buf_putc(out, '\n');
                lines += n + (lines[n] == '\n');
        }
        sw_buf_puts(out, ".EE\n.RE\n");
}
