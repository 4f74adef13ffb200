/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Access tokens of Microsoft Entra for one audience: by client secret, certificate, federated token (AKS) or managed
 * identity (IMDS, Azure Arc, App Service). One request at a time, whoever asks; a token is used until 80% of its life,
 * then a new one is fetched while the old one still serves; a service that says Retry-After is left alone so long (10
 * min at most); its age is measured on the monotonic clock. Secrets are read anew for each request, so a rotated one
 * needs no restart; neither they nor tokens are ever logged. Threads: the loop's. */
#include "base/err.h"
#include "config/option.h"
#include "log.h"
#include "net/http.h"

enum sw_auth_kind {
        SW_AUTH_NONE,
        SW_AUTH_SECRET,      /* tenant, client_id, secret */
        SW_AUTH_CERTIFICATE, /* tenant, client_id, secret: PEM of key and certificate */
        SW_AUTH_FEDERATED,   /* tenant, client_id, token_file */
        SW_AUTH_IMDS,        /* managed identity of a virtual machine */
        SW_AUTH_ARC,         /* of a machine with Azure Arc */
        SW_AUTH_APP_SERVICE, /* of a container app: IDENTITY_ENDPOINT and IDENTITY_HEADER */
};

struct sw_token_conf {
        const char *name; /* of who asks, for the log */
        enum sw_auth_kind kind;
        const char *tenant, *client_id;
        struct sw_secret_ref secret;
        const char *token_file; /* NULL: $AZURE_FEDERATED_TOKEN_FILE */
        const char *authority;  /* "https://login.microsoftonline.com" */
        const char *audience;   /* "https://monitor.azure.com" */
        /* of managed identities; all may be NULL */
        const char *identity_key, *identity; /* "client_id", "object_id" or "msi_res_id", and its value */
        const char *endpoint;                /* URL up to the query; NULL: the standard one of its kind */
        const char *arc_dir;                 /* where Arc's challenge files are */
        const char *ca_file, *proxy;
};

struct sw_token_result {
        int code; /* 0 | -SW_ERR_UNAVAIL: try again later | -SW_ERR_CONFIG: somebody has to change something */
        const char *bearer;  /* NULL unless code is 0 */
        uint64_t generation; /* of the token, from 1 */
        struct sw_wall expires;
        const char *client_id;  /* of the identity, as far as it is known; "" */
        int64_t retry_after_ms; /* how long to leave the service alone, as it said; -1: it did not */
        const char *message;    /* what is wrong and what to do; "" if code is 0 */
};
typedef void (*sw_token_fn)(void *ctx, const struct sw_token_result *r);

struct sw_token;
/* Copies conf. 0 | -SW_ERR_NOMEM. */
int sw_token_new(const struct sw_token_conf *conf, struct sw_httpc *http, struct sw_log *log, struct sw_token **ret);
struct sw_token *sw_token_free(struct sw_token *t); /* NULL-safe, returns NULL; nobody is called any more */
/* fn is called once, perhaps from within. 0 | -SW_ERR_NOMEM (then it is not called). */
int sw_token_get(struct sw_token *t, sw_token_fn fn, void *ctx);
void sw_token_forget(struct sw_token *t, void *ctx); /* a waiting ctx is not called */
/* The service said 401 to this generation: true if the next get fetches a new one. False: it was fetched anew for the
 * same reason and nothing was accepted since, for 5 min; another one would not help. */
bool sw_token_refused(struct sw_token *t, uint64_t generation);
void sw_token_accepted(struct sw_token *t);
/* For statistics. expires: 0 if there is no token. */
struct sw_wall sw_token_expires(const struct sw_token *t);
uint64_t sw_token_requests(const struct sw_token *t);
