/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files and folders: replay_NAME PATH... ; exit 1 if there was none. */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static unsigned replay_file(const char *path)
{
        FILE *in = fopen(path, "rb");
        uint8_t *p = NULL;
        size_t n = 0, got;

        if (!in) {
                perror(path);
                exit(1);
        }
        do {
                uint8_t *more = realloc(p, n + 65536);

                if (!more)
                        exit(1);
                p = more;
                got = fread(p + n, 1, 65536, in);
                n += got;
        } while (got);
        fclose(in);
        p = realloc(p, n ? n : 1); /* so that a sanitizer sees reads beyond the end */
        if (p)
                (void)LLVMFuzzerTestOneInput(p, n);
        free(p);
        return 1;
}

static unsigned replay(const char *path)
{
        struct dirent *entry;
        struct stat st;
        unsigned n = 0;
        DIR *dir;

        if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
                return replay_file(path);
        dir = opendir(path);
        if (!dir) {
                perror(path);
                exit(1);
        }
        while ((entry = readdir(dir))) {
                char inner[4096];

                if (entry->d_name[0] == '.')
                        continue;
                (void)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
                n += replay(inner);
        }
        closedir(dir);
        return n;
}

int main(int argc, char **argv)
{
        unsigned n = 0;
        int i;

        for (i = 1; i < argc; i++)
                n += replay(argv[i]);
        printf("%u inputs\n", n);
        return n == 0;
}
