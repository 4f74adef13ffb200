/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/stream_tls.h"

#include "base/alloc.h"
#include "secret.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct sw_stream_tls {
        SSL_CTX *ctx;
        SSL *ssl;
        bool wants_write, asked, ticket, refused;
};

#define TLS_DRAIN_MAX 64 /* chunks in one go: a server that talks without end does not hold up the loop */

static int tls_fail(struct sw_err *reterr, const char *what)
{
        char text[160] = "unknown";
        unsigned long e = ERR_peek_last_error();

        if (e)
                ERR_error_string_n(e, text, sizeof(text));
        ERR_clear_error();
        return sw_err_set(reterr, -SW_ERR_UNAVAIL, "TLS: %s: %s", what, text);
}

static int tls_no_password(char *buf, int size, int writing, void *ctx)
{
        (void)buf;
        (void)size;
        (void)writing;
        (void)ctx;
        return -1;
}

static int tls_use_client(struct sw_stream_tls *t, const struct sw_secret_ref *ref, struct sw_err *reterr)
{
        struct sw_secret pem = SW_SECRET_NULL;
        BIO *key = NULL, *cert = NULL;
        EVP_PKEY *pkey = NULL;
        X509 *x = NULL;
        int r = 0;

        if (!ref->file && !ref->credential)
                return 0;
        if (sw_secret_read(ref, &pem, reterr) != 0)
                return -SW_ERR_CONFIG;
        key = BIO_new_mem_buf(pem.text, (int)pem.n);
        cert = BIO_new_mem_buf(pem.text, (int)pem.n);
        if (key && cert) {
                pkey = PEM_read_bio_PrivateKey(key, NULL, tls_no_password, NULL);
                x = PEM_read_bio_X509(cert, NULL, tls_no_password, NULL);
        }
        if (!pkey || !x || SSL_use_certificate(t->ssl, x) != 1 || SSL_use_PrivateKey(t->ssl, pkey) != 1)
                r = tls_fail(reterr, "client_certificate");
        X509_free(x);
        EVP_PKEY_free(pkey);
        BIO_free(key);
        BIO_free(cert);
        sw_secret_deinit(&pem);
        return r;
}

static int tls_expect(struct sw_stream_tls *t, const char *host, struct sw_err *reterr)
{
        unsigned char address[16];
        bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;

        if (is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), host) != 1
                       : SSL_set1_host(t->ssl, host) != 1 || SSL_set_tlsext_host_name(t->ssl, host) != 1)
                return tls_fail(reterr, "host name");
        return 0;
}

/* Only called when the server asks for a certificate; which one it gets was said before. */
static int tls_on_asked(SSL *ssl, void *ctx)
{
        struct sw_stream_tls *t = ctx;

        (void)ssl;
        t->asked = true;
        return 1;
}

static int tls_on_ticket(SSL *ssl, SSL_SESSION *session)
{
        struct sw_stream_tls *t = SSL_get_app_data(ssl);

        (void)session;
        t->ticket = true;
        return 0; /* not kept */
}

int sw_stream_tls_new(int fd, const char *host, const char *ca_file, const struct sw_secret_ref *client_pem,
        struct sw_stream_tls **ret, struct sw_err *reterr)
{
        struct sw_stream_tls *t = sw_calloc(1, sizeof(*t));
        int r = 0;

        if (!t)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        t->ctx = SSL_CTX_new(TLS_client_method());
        if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1)
                r = tls_fail(reterr, "context");
        if (r == 0 &&
                (ca_file ? SSL_CTX_load_verify_file(t->ctx, ca_file) : SSL_CTX_set_default_verify_paths(t->ctx)) != 1)
                r = tls_fail(reterr, "ca_file");
        if (r == 0) {
                SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
                (void)SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
                (void)SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
                SSL_CTX_sess_set_new_cb(t->ctx, tls_on_ticket);
                t->ssl = SSL_new(t->ctx);
                if (!t->ssl || SSL_set_fd(t->ssl, fd) != 1)
                        r = tls_fail(reterr, "socket");
        }
        if (r == 0)
                r = tls_expect(t, host, reterr);
        if (r == 0)
                r = tls_use_client(t, client_pem, reterr);
        if (r < 0) {
                sw_stream_tls_free(t);
                return r;
        }
        SSL_set_connect_state(t->ssl);
        (void)SSL_set_app_data(t->ssl, t);
        SSL_set_cert_cb(t->ssl, tls_on_asked, t);
        *ret = t;
        return 0;
}

struct sw_stream_tls *sw_stream_tls_free(struct sw_stream_tls *t)
{
        if (!t)
                return NULL;
        SSL_free(t->ssl);
        SSL_CTX_free(t->ctx);
        sw_free(t);
        return NULL;
}

/* An alert of the other end is an error of its own number. */
static bool tls_is_alert(unsigned long e)
{
        return ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) > SSL_AD_REASON_OFFSET;
}

/* After a call that did not do all: again later, or broken. */
static int tls_again(struct sw_stream_tls *t, int rc, const char *what, struct sw_err *reterr)
{
        int e = SSL_get_error(t->ssl, rc);
        long verify;

        t->wants_write = e == SSL_ERROR_WANT_WRITE;
        t->refused = false;
        if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
                return SW_STREAM_TLS_AGAIN;
        verify = SSL_get_verify_result(t->ssl);
        if (verify != X509_V_OK) {
                ERR_clear_error();
                return sw_err_set(reterr, -SW_ERR_UNAVAIL,
                        "TLS: the server's certificate is not accepted: %s; an authority of your own is named with "
                        "ca_file",
                        X509_verify_cert_error_string(verify));
        }
        if (tls_is_alert(ERR_peek_last_error())) {
                const char *alert = ERR_reason_error_string(ERR_get_error());

                ERR_clear_error();
                t->refused = true;
                return sw_err_set(reterr, -SW_ERR_UNAVAIL, "TLS: refused by the server: %s", alert ? alert : "alert");
        }
        if (ERR_peek_last_error() == 0 || ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
                return sw_err_set(reterr, -SW_ERR_UNAVAIL, "TLS: %s: the server closed the connection", what);
        return tls_fail(reterr, what);
}

int sw_stream_tls_handshake(struct sw_stream_tls *t, struct sw_err *reterr)
{
        int rc;

        ERR_clear_error();
        rc = SSL_do_handshake(t->ssl);
        return rc == 1 ? SW_STREAM_TLS_OK : tls_again(t, rc, "handshake", reterr);
}

ssize_t sw_stream_tls_write(struct sw_stream_tls *t, const void *p, size_t n, struct sw_err *reterr)
{
        size_t done = 0;
        int rc;

        ERR_clear_error();
        rc = SSL_write_ex(t->ssl, p, n, &done);
        if (rc == 1)
                return (ssize_t)done;
        rc = tls_again(t, rc, "write", reterr);
        return rc == SW_STREAM_TLS_AGAIN ? 0 : rc;
}

int sw_stream_tls_drain(struct sw_stream_tls *t, struct sw_err *reterr)
{
        char chunk[1024];
        size_t n;
        int rc = 1, i;

        ERR_clear_error();
        for (i = 0; i < TLS_DRAIN_MAX; i++) {
                rc = SSL_read_ex(t->ssl, chunk, sizeof(chunk), &n);
                if (rc != 1)
                        break;
        }
        return rc == 1 ? SW_STREAM_TLS_AGAIN : tls_again(t, rc, "read", reterr);
}

bool sw_stream_tls_is_taken(const struct sw_stream_tls *t)
{
        return !t->asked || t->ticket || SSL_version(t->ssl) < TLS1_3_VERSION;
}

bool sw_stream_tls_is_refused(const struct sw_stream_tls *t)
{
        return t->refused;
}

bool sw_stream_tls_wants_write(const struct sw_stream_tls *t)
{
        return t->wants_write;
}
