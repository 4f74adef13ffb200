/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded: where a program has AddressSanitizer as well, UBSan (of gcc) writes to stderr, whatever its log_path says.
 * The function that sets the path is there twice, and it calls the other one; called in its own library it works.
 * UBSAN_REPORTS: the path, as in log_path. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

__attribute__((constructor)) static void report_to_file(void)
{
        const char *path = getenv("UBSAN_REPORTS");
        void *lib = path ? dlopen("libubsan.so.1", RTLD_LAZY | RTLD_NOLOAD) : NULL;
        void *symbol = lib ? dlsym(lib, "__sanitizer_set_report_path") : NULL;
        void (*set)(const char *);

        if (!symbol)
                return;
        memcpy(&set, &symbol, sizeof(set));
        set(path);
}
