/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the daemon by a test of the watchdog: the thread whose name stands in the file $WEDGE_FILE hangs for
 * ever, once it holds no mutex. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*lock_fn)(pthread_mutex_t *m);

static _Thread_local int held;
static _Thread_local int inside;

static lock_fn real(const char *name)
{
        lock_fn f;
        void *p = dlsym(RTLD_NEXT, name);

        memcpy(&f, &p, sizeof(f));
        return f;
}

static int is_named(void)
{
        const char *path = getenv("WEDGE_FILE");
        char wanted[16] = "", name[16] = "";
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t n;

        if (fd < 0)
                return 0;
        n = read(fd, wanted, sizeof(wanted) - 1);
        (void)close(fd);
        return n > 0 && pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 && strcmp(name, wanted) == 0;
}

__attribute__((visibility("default"))) int pthread_mutex_lock(pthread_mutex_t *m)
{
        static lock_fn f;

        if (!f)
                f = real("pthread_mutex_lock");
        held++;
        return f(m);
}

__attribute__((visibility("default"))) int pthread_mutex_unlock(pthread_mutex_t *m)
{
        static lock_fn f;
        int r;

        if (!f)
                f = real("pthread_mutex_unlock");
        r = f(m);
        held--;
        if (held == 0 && !inside) {
                inside = 1;
                while (is_named())
                        (void)pause();
                inside = 0;
        }
        return r;
}
