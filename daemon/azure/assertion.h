/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Proof of possession of a certificate's key, as Entra takes it in place of a client secret (RFC 7521, RFC 7523; header
 * and claims as Entra documents them: PS256 with the SHA-256 thumbprint). Threads: any. */
#include "base/err.h"
#include "base/str.h"
#include "clock.h"

struct sw_assertion {
        struct sw_str pem;     /* RSA key and certificate, in any order; further certificates are ignored */
        const char *client_id; /* issuer and subject */
        const char *audience;  /* URL of the token endpoint */
        struct sw_wall now;
};
/* Appends the signed JWT. -SW_ERR_INVAL: the PEM does not hold an RSA key and the certificate that belongs to it, or it
 * has expired. Messages never hold any of it. */
int sw_assertion_make(struct sw_buf *out, const struct sw_assertion *a, struct sw_err *reterr);
/* Without padding (RFC 7515). */
void sw_base64url(struct sw_buf *out, const void *p, size_t n);
