/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `outputs:`: remote sinks as they were configured. */
#include "conf_lists.h"

enum sw_output_kind { SW_OUTPUT_SENTINEL, SW_OUTPUT_SYSLOG, SW_OUTPUT_WEBHOOK, SW_OUTPUT_KAFKA };

struct sw_conf_output {
        char *name;
        uint32_t kind; /* enum sw_output_kind */
        uint32_t min_severity;
        struct sw_conf_texts detectors;
        uint64_t queue, rows_per_request; /* the latter 0: as many as the kind allows */
        struct {
                int64_t first_ms, max_ms;
        } retry;
        int64_t timeout_ms;
        char *ca_file, *proxy;
        /* sentinel */
        char *endpoint, *dcr, *stream;
        struct sw_conf_auth auth;
        /* syslog */
        char *address;
        uint32_t transport, format, facility;
        char *hostname;
        struct sw_secret_ref client_certificate;
        /* webhook */
        char *url;
        bool single;
        struct sw_secret_ref signature, bearer;
        struct sw_kv_list fields;
        uint64_t per_minute;
        /* kafka */
        char *brokers; /* comma list */
        char *topic;
        struct sw_secret_ref connection_string, password; /* password: of sasl.username among librdkafka */
        struct sw_kv_list librdkafka;
        struct sw_conf_place place;
};
extern const struct sw_opt sw_conf_output_rows[];
void sw_conf_check_outputs(const struct sw_conf *conf, struct sw_conf_check *check);
void sw_conf_check_output_secrets(const struct sw_conf *conf, struct sw_conf_check *check);
/* "host:port" or "[v6]:port"; the parts are copied. */
bool sw_conf_host_port(const char *address, char host[256], char port[8]);
