/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The TLS part of a stream: OpenSSL on a socket that does not block. */
#include "base/err.h"
#include "config/option.h"

#include <stddef.h>
#include <sys/types.h>

struct sw_stream_tls;
/* host: what the certificate must be made out to. 0 | negative with words. */
int sw_stream_tls_new(int fd, const char *host, const char *ca_file, const struct sw_secret_ref *client_pem,
        struct sw_stream_tls **ret, struct sw_err *reterr);
struct sw_stream_tls *sw_stream_tls_free(struct sw_stream_tls *t); /* NULL-safe, returns NULL */
enum { SW_STREAM_TLS_OK, SW_STREAM_TLS_AGAIN /* when the socket is ready for what _wants say */ };
int sw_stream_tls_handshake(struct sw_stream_tls *t, struct sw_err *reterr);
/* Bytes taken, 0: again, negative: broken. */
ssize_t sw_stream_tls_write(struct sw_stream_tls *t, const void *p, size_t n, struct sw_err *reterr);
/* Throws away what comes. SW_STREAM_TLS_AGAIN, or negative: the other end has closed. */
int sw_stream_tls_drain(struct sw_stream_tls *t);
bool sw_stream_tls_wants_write(const struct sw_stream_tls *t);
