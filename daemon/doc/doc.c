/* SPDX-License-Identifier: Apache-2.0 */
#include "doc/doc.h"

#include <stdlib.h>
#include <string.h>

const struct sw_cmd *const sw_doc_verbs[] = {
#define DOC_ROW(name) &sw_cmd_##name,
        SW_CMD_MAP(DOC_ROW)
#undef DOC_ROW
};
const unsigned sw_doc_n_verbs = sizeof(sw_doc_verbs) / sizeof(*sw_doc_verbs);

static const struct {
        const char *name;
        void (*make)(struct sw_buf *out);
} docs[] = { { "man", sw_doc_man }, { "conf", sw_doc_conf }, { "bash", sw_doc_bash } };

int main(int argc, char **argv)
{
        struct sw_buf out = SW_BUF_NULL;
        bool ok = false;
        size_t i;

        for (i = 0; i < sizeof(docs) / sizeof(*docs) && argc == 2; i++)
                if (strcmp(argv[1], docs[i].name) == 0) {
                        docs[i].make(&out);
                        ok = !out.failed && out.n && fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
                }
        sw_buf_deinit(&out);
        return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
