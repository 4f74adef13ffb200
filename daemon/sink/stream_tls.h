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
/* Throws away what comes. SW_STREAM_TLS_AGAIN, or negative: the other end has closed, in words. */
int sw_stream_tls_drain(struct sw_stream_tls *t, struct sw_err *reterr);
/* After the handshake: whether the server has nothing more to judge: it wanted no certificate, or has ended its own
 * half of the handshake (TLS 1.2), or has sent a ticket, which comes after that (TLS 1.3; not every server sends them).
 */
bool sw_stream_tls_is_taken(const struct sw_stream_tls *t);
bool sw_stream_tls_is_refused(const struct sw_stream_tls *t); /* what failed last: an alert of the server */
bool sw_stream_tls_wants_write(const struct sw_stream_tls *t);
