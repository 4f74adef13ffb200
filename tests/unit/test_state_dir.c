/* SPDX-License-Identifier: Apache-2.0 */
#include "state/offsets.h"
#include "state/state_dir.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static struct sw_state_dir *begin(void)
{
        struct sw_state_dir *d = NULL;

        strcpy(dir, "/tmp/segwatch-state-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        strcat(dir, "/s");
        cr_assert_eq(sw_state_dir_open(dir, &d, NULL), 0, "makes the last folder itself");
        return d;
}

static void end(struct sw_state_dir *d)
{
        char command[128];

        sw_state_dir_close(d);
        dir[strlen(dir) - 2] = '\0';
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

Test(state_dir, refuses_a_second_instance_and_names_the_first)
{
        struct sw_state_dir *d = begin(), *second = NULL;
        struct sw_err err = SW_ERR_NULL;
        char pid[32];

        cr_assert_eq(sw_state_dir_open(dir, &second, &err), -SW_ERR_UNAVAIL);
        cr_assert_null(second);
        snprintf(pid, sizeof(pid), "process id %d", (int)getpid());
        cr_assert_not_null(strstr(err.msg, pid), "%s", err.msg);
        sw_state_dir_close(d);
        cr_assert_eq(sw_state_dir_open(dir, &d, NULL), 0, "free again");
        end(d);
}

/* As after a start by hand as root: the folder is the service's, a file in it is not. */
Test(state_dir, names_the_owner_of_what_it_may_not_open)
{
        struct sw_state_dir *d = begin();
        struct sw_err err = SW_ERR_NULL;
        char path[128], other[128];
        struct stat st;
        int fd;

        if (geteuid() != 0) {
                end(d);
                cr_skip_test("only root can give files away");
        }
        sw_state_dir_close(d);
        snprintf(path, sizeof(path), "%s/lock", dir);
        dir[strlen(dir) - 2] = '\0';
        cr_assert_eq(chmod(dir, 0755), 0);
        strcat(dir, "/s");
        cr_assert_eq(chown(dir, 65534, 65534), 0);
        cr_assert_eq(seteuid(65534), 0);
        d = NULL;
        cr_assert_eq(sw_state_dir_open(dir, &d, &err), -SW_ERR_IO);
        cr_assert(strstr(err.msg, "belongs to uid 0") && strstr(err.msg, "uid 65534"), "%s", err.msg);
        cr_assert_eq(seteuid(0), 0);
        /* what root makes there is theirs from the start */
        cr_assert_eq(unlink(path), 0);
        cr_assert_eq(sw_state_dir_open(dir, &d, NULL), 0);
        sw_state_dir_close(d);
        cr_assert_eq(seteuid(65534), 0);
        fd = open(path, O_RDWR | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        close(fd);
        cr_assert_eq(sw_state_dir_open(dir, &d, NULL), 0);
        cr_assert_eq(seteuid(0), 0);
        /* but not what has another name as well: that may be any file of root's */
        strcat(path, "2");
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        snprintf(other, sizeof(other), "%s/other", dir);
        cr_assert(fd >= 0 && link(path, other) == 0);
        cr_assert_eq(sw_state_dir_own(open(dir, O_RDONLY | O_CLOEXEC), fd), 0);
        cr_assert(fstat(fd, &st) == 0 && st.st_uid == 0);
        close(fd);
        end(d);
}

Test(state_dir, keeps_its_seed_secret_and_the_same)
{
        struct sw_state_dir *d = begin();
        struct sw_hash_key a = { 0 }, b = { 0 };
        char path[128];
        struct stat st;

        cr_assert_eq(sw_state_dir_seed(d, &a, NULL), 0);
        cr_assert_neq(a.k0 | a.k1, 0);
        sw_state_dir_close(d);
        cr_assert_eq(sw_state_dir_open(dir, &d, NULL), 0);
        cr_assert_eq(sw_state_dir_seed(d, &b, NULL), 0);
        cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0);
        snprintf(path, sizeof(path), "%s/seed", dir);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0600);
        end(d);
}

Test(state_dir, replaces_files_as_a_whole)
{
        struct sw_state_dir *d = begin();
        struct sw_buf b = SW_BUF_NULL;
        char path[128];

        cr_assert_eq(sw_state_dir_load(d, "x", &b, NULL), -SW_ERR_NOENT);
        cr_assert_eq(sw_state_dir_save(d, "x", SW_STR("first, longer"), NULL), 0);
        cr_assert_eq(sw_state_dir_save(d, "x", SW_STR("second"), NULL), 0);
        cr_assert_eq(sw_state_dir_load(d, "x", &b, NULL), 0);
        cr_assert(sw_str_eq((struct sw_str){ b.p, b.n }, SW_STR("second")));
        snprintf(path, sizeof(path), "%s/x.new", dir);
        cr_assert_neq(access(path, F_OK), 0);
        sw_buf_deinit(&b);
        end(d);
}

Test(state_dir, says_what_is_wrong_with_the_folder)
{
        struct sw_state_dir *d = NULL;
        struct sw_err err = SW_ERR_NULL;

        cr_assert_eq(sw_state_dir_open("/tmp/segwatch-no-such/deeper", &d, &err), -SW_ERR_IO);
        cr_assert_not_null(strstr(err.msg, "cannot create the folder state.dir /tmp/segwatch-no-such/deeper"));
        cr_assert_eq(sw_state_dir_open("/dev/null", &d, &err), -SW_ERR_IO);
}

Test(offsets, come_back_as_they_were)
{
        struct sw_offsets o = SW_OFFSETS_NULL, back = SW_OFFSETS_NULL;
        struct sw_buf b = SW_BUF_NULL;
        const char *source = "w\"eu", *topic = "flowlogs", *path = "/var/f.json";
        int i;

        for (i = 0; i < 40; i++)
                cr_assert_eq(sw_offsets_set(&o, &(struct sw_offset_key){ source, topic, i }, 0, 1000 + i), 0);
        cr_assert_eq(sw_offsets_set(&o, &(struct sw_offset_key){ source, topic, 7 }, 0, 9007199254740991), 0);
        cr_assert_eq(sw_offsets_set(&o, &(struct sw_offset_key){ source, path, 0 }, 4711, 12), 0);
        sw_offsets_print(&o, &b);
        cr_assert_eq(sw_offsets_parse((struct sw_str){ b.p, b.n }, &back), 0);
        cr_assert_eq(back.n, 41);
        cr_assert_eq(sw_offsets_get(&back, &(struct sw_offset_key){ source, topic, 7 })->next, 9007199254740991);
        cr_assert_eq(sw_offsets_get(&back, &(struct sw_offset_key){ source, topic, 39 })->next, 1039);
        cr_assert_eq(sw_offsets_get(&back, &(struct sw_offset_key){ source, path, 0 })->inode, 4711);
        cr_assert_null(sw_offsets_get(&back, &(struct sw_offset_key){ source, topic, 40 }));
        sw_buf_deinit(&b);
        sw_offsets_deinit(&o);
        sw_offsets_deinit(&back);
}

Test(offsets, refuse_what_is_damaged)
{
        static const char *const bad[] = { "", "{}", "{\"version\":2,\"offsets\":[]}",
                "{\"version\":1,\"offsets\":[{\"source\":\"a\",\"topic\":\"b\",\"partition\":0,\"next\":-1}]}",
                "{\"version\":1,\"offsets\":[{\"source\":\"a\",\"topic\":\"b\",\"partition\":0,\"next\":5}," };
        struct sw_offsets o = SW_OFFSETS_NULL;
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                cr_assert_eq(sw_offsets_parse(sw_str_of(bad[i]), &o), -SW_ERR_DATA, "%s", bad[i]);
                cr_assert_eq(o.n, 0);
        }
}
