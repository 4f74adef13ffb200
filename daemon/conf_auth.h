/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `auth:`: how a source or an output proves to Entra who it is. */
#include "azure/token.h"
#include "config/check.h"

enum sw_conf_cloud { SW_CLOUD_PUBLIC, SW_CLOUD_USGOV, SW_CLOUD_CHINA };
enum sw_conf_via { SW_VIA_IMDS, SW_VIA_ARC, SW_VIA_APP_SERVICE };

struct sw_conf_managed {
        uint32_t via; /* enum sw_conf_via */
        char *client_id, *object_id, *resource_id, *endpoint, *tokens_dir;
};

struct sw_conf_auth {
        char *tenant, *client_id;
        struct sw_secret_ref client_secret, certificate;
        char *federated_token_file;
        struct {
                bool given;
                struct sw_conf_managed conf;
        } managed_identity;
        uint32_t cloud;             /* enum sw_conf_cloud */
        char *authority, *audience; /* NULL: of the cloud */
        char *ca_file, *proxy;      /* NULL: those of the output, or the system's and none */
};
extern const struct sw_opt sw_conf_auth_rows[];
bool sw_conf_auth_given(const struct sw_conf_auth *a);
/* what: who has it, for messages. */
void sw_conf_check_auth(
        const struct sw_conf_auth *a, const char *what, const struct sw_conf_place *place, struct sw_conf_check *check);
/* Looks into its secret. */
void sw_conf_check_auth_secret(
        const struct sw_conf_auth *a, const char *what, const struct sw_conf_place *place, struct sw_conf_check *check);
/* For the client; texts stay the configuration's. name: who asks. ret->audience is NULL if none is configured. */
void sw_conf_auth_token(const struct sw_conf_auth *a, const char *name, struct sw_token_conf *ret);
const char *sw_conf_auth_monitor(const struct sw_conf_auth *a); /* audience of Azure Monitor in its cloud */
