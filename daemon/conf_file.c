/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the configuration: reading them, and finding those that `include` names. */
#include "conf_lists.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_WRITER_MS 30000 /* a pipe's writer may come later, but not never */

/* Opened without waiting, so that a device or a pipe cannot hold us for ever; read with waiting. */
static const char *file_make_blocking(int fd, bool pipe)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int r = 1;

        do {
                if (pipe)
                        r = poll(&p, 1, FILE_WRITER_MS);
        } while (r < 0 && errno == EINTR);
        if (r == 0)
                return "nobody writes into this pipe";
        if (r < 0 || fcntl(fd, F_SETFL, O_RDONLY) < 0)
                return strerror(errno);
        return NULL;
}

static const char *file_open(const char *path, int *ret_fd)
{
        const char *problem;
        struct stat st;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (fd < 0)
                return strerror(errno);
        if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
                (void)close(fd);
                return "it is a directory";
        }
        problem = file_make_blocking(fd, S_ISFIFO(st.st_mode));
        if (problem) {
                (void)close(fd);
                return problem;
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

static bool file_is_same(const char *a, const char *b)
{
        struct stat x, y;

        return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* One that a pattern matched; named: it is the pattern. */
static bool file_include(struct sw_conf_lists *lists, const char *path, bool named, struct sw_conf_check *check)
{
        char shown[SW_CONF_SHOWN];
        struct stat st;

        (void)sw_conf_show(sw_str_of(path), shown);
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
                sw_conf_error(check, &lists->include_place, "include: '%s' is a folder; its files are '%s/*.yaml'",
                        shown, shown);
                return true;
        }
        if (!file_is_same(path, lists->files[0]))
                return file_add(lists, path, check);
        if (named)
                sw_conf_error(check, &lists->include_place, "include: '%s' is this file itself", shown);
        return true; /* *.yaml beside it means the others */
}

static bool file_expand(
        struct sw_conf_lists *lists, const char *pattern, const char *shown, struct sw_conf_check *check)
{
        glob_t found = { 0 };
        bool ok = true, named = !strpbrk(pattern, "*?[");
        size_t i;
        int r = glob(pattern, GLOB_ERR, NULL, &found); /* sorted */

        if (r == GLOB_NOSPACE)
                ok = false;
        else if (r == GLOB_ABORTED && errno != ENOENT) /* a folder that is not there holds no files */
                sw_conf_error(check, &lists->include_place, "include: '%s' cannot be read", shown);
        else if (r != 0 && named)
                sw_conf_error(check, &lists->include_place, "include: there is no file '%s'", shown);
        for (i = 0; r == 0 && ok && i < found.gl_pathc; i++)
                ok = file_include(lists, found.gl_pathv[i], named, check);
        globfree(&found);
        return ok;
}

bool sw_conf_expand_includes(struct sw_conf_lists *lists, const char *main_file, struct sw_conf_check *check)
{
        struct sw_buf path = SW_BUF_NULL;
        bool ok = true;
        uint32_t i;

        for (i = 0; i < lists->include.n && ok; i++) {
                const char *pattern = lists->include.items[i];
                char shown[SW_CONF_SHOWN];

                sw_buf_reset(&path);
                sw_buf_put_beside(&path, main_file, pattern);
                sw_buf_putc(&path, '\0');
                ok = !path.failed && file_expand(lists, path.p, sw_conf_show(sw_str_of(pattern), shown), check);
        }
        check->no_memory = check->no_memory || !ok;
        sw_buf_deinit(&path);
        return ok;
}
