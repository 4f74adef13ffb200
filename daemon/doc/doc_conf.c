/* SPDX-License-Identifier: Apache-2.0 */
/* segwatch.yaml.5: every option of the configuration, out of the tables that check it. */
#include "doc/doc.h"

#include "conf_lists.h"
#include "config/emit.h"

static const char *conf_type(const struct sw_opt *o)
{
        switch (o->type) {
        case SW_OPT_BOOL:
                return "true or false";
        case SW_OPT_UINT:
                return "number";
        case SW_OPT_DURATION:
                return "duration";
        case SW_OPT_SIZE:
                return "size";
        case SW_OPT_STRING:
                return "text";
        case SW_OPT_ENUM:
                return "word";
        case SW_OPT_SECRET:
                return "secret";
        case SW_OPT_ANY_MAP:
                return "map of texts";
        case SW_OPT_LIST:
                return "list";
        default:
                return NULL;
        }
}

static void conf_rows(struct sw_buf *out, const struct sw_opt *rows, const char *prefix, bool reloads);

/* An option with its default, then those inside it. `reloads`: it stands in something that may change as a whole. */
static void conf_row(struct sw_buf *out, const struct sw_opt *o, const char *prefix, bool reloads)
{
        struct sw_buf text = SW_BUF_NULL;
        char name[128], below[136];

        (void)snprintf(name, sizeof(name), "%s%s", prefix, o->key);
        sw_emit_doc(&text, o);
        if (o->flags & SW_OPT_REQUIRED)
                sw_buf_puts(&text, " Required.");
        if (o->def)
                sw_buf_printf(&text, " Default: %s.", *o->def ? o->def : "empty");
        else if (o->example)
                sw_buf_printf(&text, " Example: %s", o->example);
        if (o->flags & SW_OPT_DEPRECATED)
                sw_buf_puts(&text, " Deprecated.");
        if (!reloads && !(o->flags & SW_OPT_RELOAD) && o->type != SW_OPT_SECTION)
                sw_buf_puts(&text, " A change needs a restart.");
        sw_buf_putc(&text, '\0');
        if (text.failed)
                out->failed = true;
        else
                sw_roff_item(out, name, conf_type(o), text.p);
        sw_buf_deinit(&text);
        if (o->type == SW_OPT_SECTION) {
                (void)snprintf(below, sizeof(below), "%s.", name);
                conf_rows(out, o->rows, below, false);
        } else if (o->type == SW_OPT_LIST) {
                (void)snprintf(below, sizeof(below), "%s[].", name);
                conf_rows(out, o->rows, below, true); /* said of the list */
        }
}

static void conf_rows(struct sw_buf *out, const struct sw_opt *rows, const char *prefix, bool reloads)
{
        const struct sw_opt *o;

        for (o = rows; o->key; o++)
                if (!(o->flags & SW_OPT_LATER))
                        conf_row(out, o, prefix, reloads);
}

static void conf_detectors(struct sw_buf *out)
{
        struct sw_conf_detector d;
        char title[128];
        unsigned i, k;

        sw_roff_section(out, "DETECTORS");
        sw_roff_text(out, "Each is a key below detectors. In mode signal what it sees adds to the score of an "
                          "incident; alert opens an "
                          "incident at once; shadow only counts; off does nothing. A change counts after a reload.");
        sw_buf_putc(out, '\n');
        for (i = 0; i < SW_N_DETECTORS; i++) {
                d = sw_conf_detector(i);
                (void)snprintf(title, sizeof(title), "%s (%s)", d.name, d.code);
                sw_roff_subsection(out, title);
                sw_roff_text(out, sw_detectors[i]->summary);
                sw_buf_puts(out, ".\n");
                for (k = 0; k < 2; k++)
                        conf_rows(out, d.tables[k], "", true);
        }
}

static const char conf_example[] = "sources:\n"
                                   "  - name: weu\n"
                                   "    kind: eventhubs\n"
                                   "    connection_string: {credential: eventhub}\n"
                                   "segments:\n"
                                   "  - {name: web, cidrs: [10.1.0.0/24], role: app}\n"
                                   "  - {name: db, cidrs: [10.1.2.0/24], role: data, criticality: 4}\n"
                                   "policy:\n"
                                   "  - {from: web, to: db, services: [1433/tcp]}\n"
                                   "detectors:\n"
                                   "  horizontal_scan: {targets_5m: 20}\n";

void sw_doc_conf(struct sw_buf *out)
{
        unsigned i;

        sw_roff_head(out, "segwatch.yaml", 5, "File Formats");
        sw_buf_puts(out, ".SH NAME\nsegwatch.yaml \\- configuration of segwatch\n.SH SYNOPSIS\n.I " SW_CMD_CONFIG "\n");
        sw_roff_section(out, "DESCRIPTION");
        sw_roff_paragraphs(out,
                "YAML, read strictly: unknown and duplicate keys are errors with their place; there are no anchors, "
                "tags or "
                "variables. Everything is optional, but segwatch run needs sources. A duration has a unit (250ms, 30s, "
                "2m, "
                "1h, 7d, or 0), and so has a size (64KiB, 512MiB, 1GiB, or bytes). A secret never stands here: it is "
                "{file: PATH} or {credential: NAME}, a credential of systemd.\n\n"
                "segwatch check names every error as file:line:column; segwatch check --dump prints what is in effect. "
                "systemctl reload segwatch takes over what may change at run time and tells what needs a restart.\n\n"
                "Below, a dot stands for nesting and [] for each item of a list.");
        sw_roff_section(out, "OPTIONS");
        for (i = 0; i < SW_CONF_N_TABLES; i++)
                conf_rows(out, sw_conf_tables[i], "", false);
        conf_detectors(out);
        sw_roff_section(out, "EXAMPLE");
        sw_roff_example(out, conf_example);
        sw_buf_puts(out, ".SH SEE ALSO\n.BR segwatch (1),\n.BR segwatch.service (8)\n");
}
