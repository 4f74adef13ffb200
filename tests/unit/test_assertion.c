/* SPDX-License-Identifier: Apache-2.0 */
#include "azure/assertion.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* Key and certificate as PEM. days < 0: expired. */
static void make_pem(struct sw_buf *out, EVP_PKEY *key, int days)
{
        X509 *x = X509_new();
        BIO *bio = BIO_new(BIO_s_mem());
        char *p;
        long n;

        X509_set_version(x, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        X509_gmtime_adj(X509_getm_notBefore(x), -86400 * 10);
        X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
        X509_set_pubkey(x, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(x));
        cr_assert(X509_sign(x, key, EVP_sha256()));
        cr_assert(PEM_write_bio_X509(bio, x));
        cr_assert(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
        n = BIO_get_mem_data(bio, &p);
        sw_buf_put(out, p, (size_t)n);
        BIO_free(bio);
        X509_free(x);
}

static int make(struct sw_str pem, struct sw_buf *out, struct sw_err *err)
{
        const struct sw_assertion a = { pem, "client", "https://login/token", sw_clock_wall() };

        return sw_assertion_make(out, &a, err);
}

Test(assertion, what_is_signed_has_three_parts_and_new_ids)
{
        EVP_PKEY *key = EVP_RSA_gen(2048);
        struct sw_buf pem = SW_BUF_NULL, a = SW_BUF_NULL, b = SW_BUF_NULL;
        struct sw_err err = SW_ERR_NULL;
        size_t i, dots = 0;

        make_pem(&pem, key, 1);
        cr_assert_eq(make((struct sw_str){ pem.p, pem.n }, &a, &err), 0, "%s", err.msg);
        cr_assert_eq(make((struct sw_str){ pem.p, pem.n }, &b, &err), 0);
        for (i = 0; i < a.n; i++)
                dots += a.p[i] == '.';
        cr_assert_eq(dots, 2);
        cr_assert(a.n != b.n || memcmp(a.p, b.p, a.n) != 0);
        sw_buf_deinit(&pem);
        sw_buf_deinit(&a);
        sw_buf_deinit(&b);
        EVP_PKEY_free(key);
}

Test(assertion, what_cannot_sign_is_named_and_never_shown)
{
        EVP_PKEY *key = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
        struct sw_buf old = SW_BUF_NULL, curve = SW_BUF_NULL, other = SW_BUF_NULL, out = SW_BUF_NULL;
        struct sw_err err = SW_ERR_NULL;
        const char *at;

        make_pem(&old, key, -1);
        cr_assert_lt(make((struct sw_str){ old.p, old.n }, &out, &err), 0);
        cr_assert(strstr(err.msg, "expired"));
        make_pem(&curve, ec, 1);
        cr_assert_lt(make((struct sw_str){ curve.p, curve.n }, &out, &err), 0);
        cr_assert(strstr(err.msg, "not RSA"));
        /* the key of one, the certificate of the other */
        sw_buf_putc(&old, '\0');
        at = strstr(old.p, "-----BEGIN PRIVATE KEY");
        sw_buf_puts(&other, at);
        sw_buf_put(&other, curve.p, curve.n);
        cr_assert_lt(make((struct sw_str){ other.p, other.n }, &out, &err), 0);
        cr_assert(strstr(err.msg, "no certificate of its private key"));
        cr_assert_lt(make(SW_STR("canary"), &out, &err), 0);
        cr_assert_null(strstr(err.msg, "canary"));
        sw_buf_deinit(&old);
        sw_buf_deinit(&curve);
        sw_buf_deinit(&other);
        sw_buf_deinit(&out);
        EVP_PKEY_free(key);
        EVP_PKEY_free(ec);
}

Test(assertion, base64url_has_no_padding)
{
        static const char *const want[] = { "", "Zg", "Zm8", "Zm9v", "Zm9vYg" };
        size_t n;

        for (n = 0; n < 5; n++) {
                struct sw_buf b = SW_BUF_NULL;

                sw_base64url(&b, "foob", n);
                sw_buf_putc(&b, '\0');
                cr_assert_str_eq(b.p, want[n]);
                sw_buf_deinit(&b);
        }
}
