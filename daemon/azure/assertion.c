/* SPDX-License-Identifier: Apache-2.0 */
#include "azure/assertion.h"

#include "base/jsonw.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define ASSERTION_LIFE_S 600

void sw_base64url(struct sw_buf *out, const void *data, size_t n)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const unsigned char *p = data;
        size_t i, k;

        for (i = 0; i < n; i += 3) {
                size_t left = n - i < 3 ? n - i : 3;
                uint32_t v = (uint32_t)p[i] << 16;

                v |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
                v |= left > 2 ? p[i + 2] : 0;
                for (k = 0; k <= left; k++)
                        sw_buf_putc(out, digits[v >> (18 - 6 * k) & 63]);
        }
}

struct assertion_pair {
        EVP_PKEY *key;
        X509 *cert;
};

static void assertion_free(struct assertion_pair *p)
{
        EVP_PKEY_free(p->key);
        X509_free(p->cert);
        ERR_clear_error();
}

/* A key with a pass phrase cannot be opened by a service: never ask the terminal. */
static int assertion_no_password(char *buf, int size, int writing, void *ctx)
{
        (void)buf;
        (void)size;
        (void)writing;
        (void)ctx;
        return -1;
}

static int assertion_read(struct sw_str pem, struct assertion_pair *ret, struct sw_err *reterr)
{
        BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);

        if (!bio)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        ret->key = PEM_read_bio_PrivateKey(bio, NULL, assertion_no_password, NULL);
        BIO_free(bio);
        bio = BIO_new_mem_buf(pem.p, (int)pem.n);
        /* the first certificate whose key it is: a chain may stand in any order */
        while (bio && ret->key && !ret->cert) {
                X509 *cert = PEM_read_bio_X509(bio, NULL, assertion_no_password, NULL);

                if (!cert)
                        break;
                if (X509_check_private_key(cert, ret->key) == 1)
                        ret->cert = cert;
                else
                        X509_free(cert);
        }
        BIO_free(bio);
        if (!ret->key)
                return sw_err_set(reterr, -SW_ERR_INVAL,
                        "the certificate's file holds no private key that can be opened (PEM, no pass phrase)");
        if (EVP_PKEY_base_id(ret->key) != EVP_PKEY_RSA)
                return sw_err_set(reterr, -SW_ERR_INVAL, "the private key is not RSA; Entra takes no other");
        if (!ret->cert)
                return sw_err_set(
                        reterr, -SW_ERR_INVAL, "the certificate's file holds no certificate of its private key");
        return 0;
}

static int assertion_check_time(const X509 *cert, struct sw_wall now, struct sw_err *reterr)
{
        time_t t = (time_t)(now.ms / 1000);

        if (X509_cmp_time(X509_get0_notAfter(cert), &t) < 0)
                return sw_err_set(reterr, -SW_ERR_INVAL, "the certificate has expired");
        return 0;
}

static void assertion_header(struct sw_buf *out, const X509 *cert)
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        struct sw_buf json = SW_BUF_NULL, thumb = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&json);
        unsigned n = 0;

        (void)X509_digest(cert, EVP_sha256(), digest, &n);
        sw_base64url(&thumb, digest, n);
        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "alg", "PS256");
        sw_jsonw_ktext(&w, "typ", "JWT");
        sw_jsonw_kstr(&w, "x5t#S256", (struct sw_str){ thumb.p, thumb.n });
        sw_jsonw_end_object(&w);
        sw_base64url(out, json.p, json.n);
        out->failed = out->failed || json.failed || thumb.failed;
        sw_buf_deinit(&json);
        sw_buf_deinit(&thumb);
}

static int assertion_claims(struct sw_buf *out, const struct sw_assertion *a)
{
        unsigned char id[16];
        char hex[33];
        struct sw_buf json = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&json);
        size_t i;

        if (RAND_bytes(id, sizeof(id)) != 1)
                return -SW_ERR_IO;
        for (i = 0; i < sizeof(id); i++)
                (void)snprintf(hex + 2 * i, 3, "%02x", id[i]);
        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "aud", a->audience);
        sw_jsonw_ktext(&w, "iss", a->client_id);
        sw_jsonw_ktext(&w, "sub", a->client_id);
        sw_jsonw_ktext(&w, "jti", hex);
        sw_jsonw_ki64(&w, "nbf", a->now.ms / 1000);
        sw_jsonw_ki64(&w, "iat", a->now.ms / 1000);
        sw_jsonw_ki64(&w, "exp", a->now.ms / 1000 + ASSERTION_LIFE_S);
        sw_jsonw_end_object(&w);
        sw_base64url(out, json.p, json.n);
        out->failed = out->failed || json.failed;
        sw_buf_deinit(&json);
        return 0;
}

static int assertion_sign(struct sw_buf *out, EVP_PKEY *key, struct sw_str text)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pkey = NULL;
        unsigned char signature[1024]; /* RSA of 8192 bits */
        size_t n = sizeof(signature);
        bool ok = ctx && EVP_DigestSignInit(ctx, &pkey, EVP_sha256(), NULL, key) == 1 &&
                  EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, RSA_PSS_SALTLEN_DIGEST) == 1 &&
                  EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text.p, text.n) == 1;

        EVP_MD_CTX_free(ctx);
        if (!ok)
                return -SW_ERR_INVAL;
        sw_base64url(out, signature, n);
        return 0;
}

int sw_assertion_make(struct sw_buf *out, const struct sw_assertion *a, struct sw_err *reterr)
{
        struct assertion_pair pair = { 0 };
        struct sw_buf text = SW_BUF_NULL;
        int r = assertion_read(a->pem, &pair, reterr);

        if (r == 0)
                r = assertion_check_time(pair.cert, a->now, reterr);
        if (r == 0) {
                assertion_header(&text, pair.cert);
                sw_buf_putc(&text, '.');
                r = assertion_claims(&text, a);
        }
        if (r == 0) {
                sw_buf_put(out, text.p, text.n);
                sw_buf_putc(out, '.');
                r = assertion_sign(out, pair.key, (struct sw_str){ text.p, text.n });
                if (r < 0)
                        (void)sw_err_set(reterr, r, "the private key cannot sign");
        }
        if (r == 0 && (out->failed || text.failed))
                r = sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        sw_buf_deinit(&text);
        assertion_free(&pair);
        return r;
}
