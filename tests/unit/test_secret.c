/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/segwatch-secret-XXXXXX";
static char path[64];

static void begin(void)
{
        cr_assert_not_null(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/hub", folder);
        (void)unsetenv("CREDENTIALS_DIRECTORY");
}

static void end(void)
{
        (void)unlink(path);
        (void)rmdir(folder);
}

TestSuite(secret, .init = begin, .fini = end);

static void put(const char *text, size_t n, mode_t mode)
{
        FILE *f = fopen(path, "w");

        cr_assert_not_null(f);
        cr_assert_eq(fwrite(text, 1, n, f), n);
        cr_assert_eq(fclose(f), 0);
        cr_assert_eq(chmod(path, mode), 0);
}

static int take(struct sw_secret *ret, struct sw_err *err)
{
        struct sw_secret_ref ref = { .file = path };

        return sw_secret_read(&ref, ret, err);
}

Test(secret, reads_a_file_without_its_last_line_end)
{
        struct sw_secret s = SW_SECRET_NULL;

        put("key\n", 4, 0600);
        cr_assert_eq(take(&s, NULL), 0);
        cr_assert_str_eq(s.text, "key");
        cr_assert_eq(s.n, 3);
        cr_assert_not(s.world_readable);
        sw_secret_deinit(&s);
        sw_secret_deinit(&s);
        sw_secret_deinit(NULL);
        put("key\n\n", 5, 0644);
        cr_assert_eq(take(&s, NULL), 0);
        cr_assert_str_eq(s.text, "key\n", "one line end only");
        cr_assert(s.world_readable);
        sw_secret_deinit(&s);
        put("key\r\n", 5, 0640);
        cr_assert_eq(take(&s, NULL), 0);
        cr_assert_str_eq(s.text, "key");
        cr_assert_not(s.world_readable);
        sw_secret_deinit(&s);
}

Test(secret, bounds_and_refusals)
{
        static char large[SW_SECRET_MAX_BYTES + 1];
        struct sw_secret s = SW_SECRET_NULL;
        struct sw_err err = SW_ERR_NULL;

        cr_assert_eq(take(&s, &err), -SW_ERR_NOENT);
        put("", 0, 0600);
        cr_assert_eq(take(&s, &err), -SW_ERR_INVAL);
        put("\n", 1, 0600);
        cr_assert_eq(take(&s, &err), -SW_ERR_INVAL);
        put("hunter2\0x", 9, 0600);
        cr_assert_eq(take(&s, &err), -SW_ERR_INVAL);
        cr_assert_null(strstr(err.msg, "hunter2"));
        memset(large, 'x', sizeof(large));
        put(large, sizeof(large) - 1, 0600);
        cr_assert_eq(take(&s, &err), 0);
        cr_assert_eq(s.n, SW_SECRET_MAX_BYTES);
        sw_secret_deinit(&s);
        put(large, sizeof(large), 0600);
        cr_assert_eq(take(&s, &err), -SW_ERR_LIMIT);
        cr_assert_null(s.text);
}

Test(secret, credentials_come_from_systemd_s_folder)
{
        char name[] = "hub";
        struct sw_secret_ref ref = { .credential = name }, none = { 0 };
        struct sw_secret s = SW_SECRET_NULL;
        struct sw_err err = SW_ERR_NULL;

        put("key", 3, 0400);
        cr_assert_eq(sw_secret_read(&ref, &s, &err), SW_SECRET_NOT_HERE);
        cr_assert_not_null(strstr(err.msg, "credential 'hub'"));
        cr_assert_eq(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
        cr_assert_eq(sw_secret_read(&ref, &s, &err), 0, "%s", err.msg);
        cr_assert_str_eq(s.text, "key");
        sw_secret_deinit(&s);
        (void)unlink(path);
        cr_assert_eq(sw_secret_read(&ref, &s, &err), -SW_ERR_NOENT);
        cr_assert_eq(sw_secret_read(&none, &s, &err), -SW_ERR_INVAL);
}

Test(secret, a_folder_is_not_a_secret)
{
        struct sw_secret_ref ref = { .file = folder };
        struct sw_secret s = SW_SECRET_NULL;
        struct sw_err err;

        cr_assert_eq(sw_secret_read(&ref, &s, &err), -SW_ERR_IO);
}
