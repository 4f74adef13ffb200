/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the configuration: reading them, and finding those that `include` names. */
#include "conf_lists.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *file_open(const char *path, int *ret_fd)
{
        struct stat st;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (fd < 0)
                return strerror(errno);
        if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
                (void)close(fd);
                return "it is a directory";
        }
        *ret_fd = fd;
        return NULL;
}

bool sw_conf_read_file(const char *path, struct sw_conf_check *check, struct sw_buf *ret)
{
        struct sw_conf_place place = { path, 0, 0 };
        char chunk[16384];
        const char *problem;
        ssize_t n = 0;
        int fd;

        problem = file_open(path, &fd);
        if (problem) {
                sw_conf_error(check, &place, "cannot be read: %s", problem);
                return false;
        }
        while (ret->n <= SW_CONF_MAX_BYTES && !ret->failed) {
                n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                sw_buf_put(ret, chunk, (size_t)n);
        }
        if (n < 0)
                sw_conf_error(check, &place, "cannot be read: %s", strerror(errno));
        check->no_memory = check->no_memory || ret->failed;
        (void)close(fd);
        return n >= 0 && !ret->failed;
}

/* Adds a file that was not added before. */
static bool file_add(struct sw_conf_lists *lists, const char *path, struct sw_conf_check *check)
{
        uint32_t i;

        for (i = 0; i < lists->n_files; i++)
                if (strcmp(lists->files[i], path) == 0)
                        return true;
        if (lists->n_files == SW_CONF_MAX_FILES) {
                sw_conf_error(check, &lists->include_place, "include: more than %d files", SW_CONF_MAX_FILES);
                return true;
        }
        lists->files[lists->n_files] = sw_arena_copy(&lists->names, path, strlen(path));
        return lists->files[lists->n_files++] != NULL;
}

static bool file_expand(
        struct sw_conf_lists *lists, const char *pattern, const char *shown, struct sw_conf_check *check)
{
        glob_t found = { 0 };
        bool ok = true;
        size_t i;
        int r = glob(pattern, GLOB_ERR, NULL, &found); /* sorted */

        if (r == GLOB_NOSPACE)
                ok = false;
        else if (r == GLOB_ABORTED && errno != ENOENT) /* a folder that is not there holds no files */
                sw_conf_error(check, &lists->include_place, "include: '%s' cannot be read", shown);
        else if (r != 0 && !strpbrk(pattern, "*?["))
                sw_conf_error(check, &lists->include_place, "include: there is no file '%s'", shown);
        for (i = 0; r == 0 && ok && i < found.gl_pathc; i++)
                ok = file_add(lists, found.gl_pathv[i], check);
        globfree(&found);
        return ok;
}

bool sw_conf_expand_includes(struct sw_conf_lists *lists, const char *main_file, struct sw_conf_check *check)
{
        const char *slash = strrchr(main_file, '/');
        struct sw_buf path = SW_BUF_NULL;
        bool ok = true;
        uint32_t i;

        for (i = 0; i < lists->include.n && ok; i++) {
                const char *pattern = lists->include.items[i];
                char shown[SW_CONF_SHOWN];

                sw_buf_reset(&path);
                if (*pattern != '/' && slash)
                        sw_buf_put(&path, main_file, (size_t)(slash - main_file) + 1);
                sw_buf_puts(&path, pattern);
                sw_buf_putc(&path, '\0');
                ok = !path.failed && file_expand(lists, path.p, sw_conf_show(sw_str_of(pattern), shown), check);
        }
        check->no_memory = check->no_memory || !ok;
        sw_buf_deinit(&path);
        return ok;
}
