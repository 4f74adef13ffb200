/* SPDX-License-Identifier: Apache-2.0 */
#include "state/learned.h"

#include "state/outbox.h"
#include "state/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEARNED_NAME "learned"
#define LEARNED_TMP "learned.tmp"

static int learned_fail(struct sw_err *reterr, const char *dir, const char *what)
{
        return sw_err_set(reterr, -SW_ERR_IO, "%s: %s: %s", dir, what, strerror(errno));
}

static int learned_folder(const char *dir, bool make, struct sw_err *reterr)
{
        int fd;

        if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
                return learned_fail(reterr, dir, "cannot be made");
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? learned_fail(reterr, dir, "cannot be opened") : fd;
}

static int learned_fill(int fd, const char *dir, sw_learned_source source, void *ctx, struct sw_err *reterr)
{
        char block[65536];
        size_t n;
        int r;

        for (;;) {
                r = source(ctx, block, sizeof(block), &n);
                if (r < 0)
                        return sw_err_set(reterr, r, "%s: %s", dir, sw_error_text(r));
                if (n == 0)
                        return 0;
                if (sw_state_dir_write_all(fd, block, n) < 0)
                        return learned_fail(reterr, dir, "cannot write " LEARNED_TMP);
        }
}

int sw_learned_check(const char *dir, struct sw_err *reterr)
{
        int folder = learned_folder(dir, true, reterr), r = 0;

        if (folder < 0)
                return folder;
        if (faccessat(folder, SW_OUTBOX_FILE, F_OK, 0) == 0)
                r = sw_err_set(reterr, -SW_ERR_INVAL,
                        "%s: a daemon has its state there (" SW_OUTBOX_FILE "), and would not look at what was learned "
                        "elsewhere; name a new folder",
                        dir);
        else if (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) < 0)
                r = learned_fail(reterr, dir, "cannot be written to");
        (void)close(folder);
        return r;
}

int sw_learned_save(const char *dir, sw_learned_source source, void *ctx, struct sw_err *reterr)
{
        int folder = learned_folder(dir, true, reterr), fd, r;

        if (folder < 0)
                return folder;
        fd = openat(folder, LEARNED_TMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
                r = learned_fail(reterr, dir, "cannot make " LEARNED_TMP);
                (void)close(folder);
                return r;
        }
        r = sw_state_dir_own(folder, fd);
        if (r < 0)
                (void)learned_fail(reterr, dir, "cannot hand over " LEARNED_TMP);
        else
                r = learned_fill(fd, dir, source, ctx, reterr);
        if (r == 0 && fsync(fd) < 0)
                r = learned_fail(reterr, dir, "cannot write " LEARNED_TMP);
        if (close(fd) < 0 && r == 0)
                r = learned_fail(reterr, dir, "cannot write " LEARNED_TMP);
        if (r == 0 && (renameat(folder, LEARNED_TMP, folder, LEARNED_NAME) < 0 || fsync(folder) < 0))
                r = learned_fail(reterr, dir, "cannot rename " LEARNED_TMP);
        if (r < 0)
                (void)unlinkat(folder, LEARNED_TMP, 0);
        (void)close(folder);
        return r;
}

int sw_learned_open(const char *dir, int *ret_fd, struct sw_err *reterr)
{
        int folder = learned_folder(dir, false, reterr), fd;

        if (folder < 0)
                return folder;
        fd = openat(folder, LEARNED_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        (void)close(folder);
        if (fd < 0 && errno == ENOENT)
                return SW_LEARNED_E_NONE;
        if (fd < 0)
                return learned_fail(reterr, dir, "cannot read " LEARNED_NAME);
        *ret_fd = fd;
        return SW_LEARNED_OK;
}
