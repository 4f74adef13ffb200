/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/demo.h"

#include "base/err.h"
#include "clock.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int sw_demo_fork(struct sw_demo_child *c)
{
        pid_t parent = getpid(), pid = fork();
        sigset_t none;

        if (pid < 0)
                return -SW_ERR_IO;
        if (pid > 0) {
                *c = (struct sw_demo_child){ .pid = pid };
                return 1;
        }
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(1);
        /* Ctrl-C is the parent's business: it ends its children in order. */
        setpgid(0, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        return 0;
}

bool sw_demo_child_ended(struct sw_demo_child *c)
{
        if (c->pid && !c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
                c->ended = true;
        return c->ended;
}

void sw_demo_child_stop(struct sw_demo_child *c, int grace_ms)
{
        int64_t until = sw_clock_mono().ms + grace_ms;

        if (!c->pid)
                return;
        if (!sw_demo_child_ended(c))
                kill(c->pid, SIGTERM);
        while (!sw_demo_child_ended(c) && sw_clock_mono().ms < until)
                usleep(10000);
        if (!c->ended) {
                kill(c->pid, SIGKILL);
                while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
                        ;
                c->ended = true;
        }
        c->pid = 0;
}

static int child_remove(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
        (void)st, (void)what, (void)ftw;
        return remove(path);
}

void sw_demo_remove(const char *dir)
{
        nftw(dir, child_remove, 16, FTW_DEPTH | FTW_PHYS);
}
