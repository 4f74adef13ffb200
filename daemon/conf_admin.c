/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the admin section: nothing listens to the network by accident. */
#include "admin/address.h"
#include "conf_lists.h"

#include <string.h>
#include <sys/un.h>

#define ADMIN_SOCKET_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static bool admin_is_none(const char *text)
{
        return strcmp(text, "none") == 0;
}

static void admin_check_http(const struct sw_conf *conf, struct sw_conf_check *check)
{
        const struct sw_conf_place *place = &conf->admin.http_place;
        bool token = conf->admin.token.file || conf->admin.token.credential;
        struct sw_address address;
        char shown[SW_CONF_SHOWN];

        if (!sw_address_parse(sw_str_of(conf->admin.http), &address))
                sw_conf_error(check, place, "admin: http '%s' is not ADDRESS:PORT in numbers, [ADDRESS]:PORT, or none",
                        sw_conf_show(sw_str_of(conf->admin.http), shown));
        else if (!address.loopback && !conf->admin.allow_remote)
                sw_conf_error(check, place,
                        "admin: http '%s' can be reached by others: use 127.0.0.1, or set allow_remote: true and token",
                        sw_conf_show(sw_str_of(conf->admin.http), shown));
        else if (!address.loopback && !token)
                sw_conf_error(check, place, "admin: http '%s' can be reached by others and needs token",
                        sw_conf_show(sw_str_of(conf->admin.http), shown));
}

void sw_conf_check_admin(const struct sw_conf *conf, struct sw_conf_check *check)
{
        const char *path = conf->admin.socket;

        if (!path || !conf->admin.http)
                return; /* reported already */
        if (!admin_is_none(path) && *path != '/')
                sw_conf_error(check, &conf->admin.socket_place, "admin: socket is not an absolute path, or none");
        else if (strlen(path) > ADMIN_SOCKET_MAX)
                sw_conf_error(
                        check, &conf->admin.socket_place, "admin: socket is longer than %zu bytes", ADMIN_SOCKET_MAX);
        if (!admin_is_none(conf->admin.http))
                admin_check_http(conf, check);
}
