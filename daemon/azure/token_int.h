/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by token.c (life of tokens) and token_request.c (what is asked, and what answers mean). */
#include "azure/token.h"

/* A request that is being put together or under way; wiped when released. */
struct sw__token_request {
        struct sw_buf url, body, headers[4];
        const char *lines[4];
        uint32_t n_headers;
        bool post, direct; /* direct: never through a proxy */
};
void sw__token_request_deinit(struct sw__token_request *r);
/* Reads secrets. 0 | -SW_ERR_CONFIG, -SW_ERR_UNAVAIL, -SW_ERR_NOMEM with words. */
int sw__token_request_make(const struct sw_token_conf *c, struct sw__token_request *r, struct sw_err *reterr);
/* Arc answered 401 with a challenge: adds the content of its file. */
int sw__token_request_arc(
        const struct sw_token_conf *c, const char *challenge, struct sw__token_request *r, struct sw_err *reterr);

struct sw__token_answer {
        struct sw_buf bearer;
        int64_t life_ms;
        char client_id[64];
};
/* 0 | -SW_ERR_UNAVAIL | -SW_ERR_CONFIG with words for a person. */
int sw__token_answer_read(const struct sw_token_conf *c, const struct sw_httpc_answer *a, struct sw__token_answer *ret,
        struct sw_err *reterr);
