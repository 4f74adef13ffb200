/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ctl_client.h"

#include "base/alloc.h"
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CTL_ANSWER_MAX ((size_t)4 << 20)
#define CTL_TIMEOUT_S 30 /* a reload of a large configuration takes its time */

static int ctl_path_of_config(struct sw_ctl *c, const char *config)
{
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));
        struct sw_conf *conf = sw_calloc(1, sizeof(*conf));
        int r = report && conf ? sw_conf_load(config, false, conf, report) : -SW_ERR_NOMEM;

        if (r == 0 && strcmp(conf->admin.socket, "none") == 0) {
                fprintf(stderr, "segwatch %s: admin.socket is none in %s\n", c->cmd->name, config);
                r = -SW_ERR_CONFIG;
        } else if (r == 0) {
                c->path = sw_strdup(conf->admin.socket);
        } else if (r == -SW_ERR_CONFIG) {
                sw_conf_report_print(report);
        }
        if (conf)
                sw_conf_deinit(conf);
        sw_free(conf);
        sw_free(report);
        return r == 0 ? SW_EXIT_OK : r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
}

int sw_ctl_open(struct sw_ctl *c, const struct sw_cmd *cmd, const char *config, const char *socket)
{
        int r = SW_EXIT_OK;

        *c = (struct sw_ctl){ .cmd = cmd, .fd = -1 };
        if (socket)
                c->path = sw_strdup(socket);
        else if (config)
                r = ctl_path_of_config(c, config);
        else
                r = ctl_path_of_config(c, access(SW_CMD_CONFIG, R_OK) == 0 ? SW_CMD_CONFIG : NULL);
        return r == SW_EXIT_OK && !c->path ? SW_EXIT_FAILURE : r;
}

static void ctl_disconnect(struct sw_ctl *c)
{
        if (c->fd >= 0)
                (void)close(c->fd);
        c->fd = -1;
}

void sw_ctl_close(struct sw_ctl *c)
{
        ctl_disconnect(c);
        sw_buf_deinit(&c->line);
        sw_free(c->path);
        c->path = NULL;
}

static int ctl_told(const struct sw_ctl *c, bool quiet, int error)
{
        if (!quiet)
                fprintf(stderr, "segwatch %s: %s: %s%s\n", c->cmd->name, c->path, strerror(error),
                        error == ENOENT || error == ECONNREFUSED ? "; is the daemon running?"
                        : error == EACCES                        ? "; only its user and root may talk to the daemon"
                                                                 : "");
        return SW_EXIT_TEMPFAIL;
}

static int ctl_connect(struct sw_ctl *c)
{
        const struct timeval timeout = { .tv_sec = CTL_TIMEOUT_S };
        struct sockaddr_un to = { .sun_family = AF_UNIX };

        if (strlen(c->path) >= sizeof(to.sun_path))
                return ENAMETOOLONG;
        memcpy(to.sun_path, c->path, strlen(c->path));
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0)
                return errno;
        (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        return connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
}

static int ctl_send(struct sw_ctl *c, const struct sw_buf *question)
{
        size_t at = 0;

        while (at < question->n) {
                ssize_t n = send(c->fd, question->p + at, question->n - at, MSG_NOSIGNAL);

                if (n < 0 && errno != EINTR)
                        return errno;
                at += n > 0 ? (size_t)n : 0;
        }
        return 0;
}

/* Up to the first line feed. */
static int ctl_receive(struct sw_ctl *c)
{
        char part[16384];

        sw_buf_reset(&c->line);
        while (c->line.n == 0 || c->line.p[c->line.n - 1] != '\n') {
                ssize_t n = recv(c->fd, part, sizeof(part), 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? errno == EAGAIN ? ETIMEDOUT : errno : EPIPE;
                sw_buf_put(&c->line, part, (size_t)n);
                if (c->line.failed || c->line.n > CTL_ANSWER_MAX)
                        return EMSGSIZE;
        }
        return 0;
}

int sw_ctl_ask(struct sw_ctl *c, enum sw_control_command command, const char *arg, bool quiet, struct sw_str *ret_line,
        struct sw_json **ret)
{
        struct sw_buf question = SW_BUF_NULL;
        int error = c->fd < 0 ? ctl_connect(c) : 0;

        sw_control_write(&question, command, arg);
        if (error == 0)
                error = question.failed ? ENOMEM : ctl_send(c, &question);
        if (error == 0 || error == EPIPE || error == ECONNRESET) {
                /* who is sent away gets his answer before his question is read */
                int received = ctl_receive(c);

                error = received ? (error ? error : received) : 0;
        }
        sw_buf_deinit(&question);
        if (error) {
                ctl_disconnect(c);
                return ctl_told(c, quiet, error);
        }
        *ret_line = (struct sw_str){ c->line.p, c->line.n };
        *ret = sw_json_parse(*ret_line);
        if (!sw_json_is_object(*ret)) {
                *ret = sw_json_free(*ret);
                ctl_disconnect(c);
                if (!quiet)
                        fprintf(stderr, "segwatch %s: what listens on %s is not segwatch\n", c->cmd->name, c->path);
                return SW_EXIT_FAILURE;
        }
        return SW_EXIT_OK;
}
