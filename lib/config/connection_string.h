/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Event Hubs connection strings as the portal hands them out:
 *   Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=NAME;SharedAccessKey=KEY[;EntityPath=HUB]
 * Pairs in any order, keys case folded, a final ';' and '=' inside values allowed. Over Kafka the whole string is the
 * password (user "$ConnectionString"), so the key itself is only checked for being there. No message contains it. */
#include "base/err.h"
#include "base/str.h"

#define SW_CONNECTION_NAME 256

struct sw_connection_string {
        char host[SW_CONNECTION_NAME];        /* of the endpoint, lower case, without port: the namespace's name */
        char key_name[SW_CONNECTION_NAME];    /* SharedAccessKeyName */
        char entity_path[SW_CONNECTION_NAME]; /* "" if the string is for the whole namespace */
        uint16_t port; /* of the endpoint; 0 = not given. Kafka's port is 9093 whatever it says */
        bool is_azure; /* the host is one of an Azure cloud's */
};

/* any_host: brokers are configured by hand, so the endpoint may be any host (tests, private link).
 * 0 | -SW_ERR_CONFIG with a message that contains nothing of the string but host and entity. */
int sw_connection_string_parse(struct sw_str s, bool any_host, struct sw_connection_string *ret, struct sw_err *reterr);
