/* SPDX-License-Identifier: Apache-2.0 */
#include "segment/segments.h"

#include <criterion/criterion.h>

#define ID(i) (SW_SEGMENT_FIRST + (uint32_t)(i))

static struct sw_prefix prefix(const char *z)
{
        struct sw_prefix p;

        cr_assert(sw_prefix_parse(sw_str_of(z), &p, NULL), "%s", z);
        return p;
}

static struct sw_addr addr(const char *z)
{
        struct sw_addr a;

        cr_assert(sw_addr_parse(sw_str_of(z), &a), "%s", z);
        return a;
}

static uint32_t look(const struct sw_segments *s, uint16_t realm, const char *z)
{
        struct sw_addr a = addr(z);

        return sw_segments_lookup(s, realm, &a);
}

enum { WEB, DB, PARTNER, OTHER_REALM, CGNAT, N_TEST_SEGMENTS };

/* web, db (isolated), a public partner range, 10.1.0.0/24 again in realm 1, shared space */
static struct sw_segments *network(const struct sw_policy_row *policy, uint32_t n_policy)
{
        struct sw_prefix web[2] = { prefix("10.1.0.0/16"), prefix("fd00:1::/64") }, db = prefix("10.1.2.0/24"),
                         partner = prefix("203.0.113.0/24"), other = prefix("10.1.2.0/24"),
                         cgnat = prefix("100.64.0.0/10");
        struct sw_segment_spec segments[N_TEST_SEGMENTS] = {
                [WEB] = { { .name = "web", .role = SW_SEGMENT_ROLE_APP, .criticality = 2 }, web, 2, 0 },
                [DB] = { { .name = "db", .role = SW_SEGMENT_ROLE_DATA, .criticality = 4, .isolate = true }, &db, 1, 0 },
                [PARTNER] = { { .name = "partner", .criticality = 1 }, &partner, 1, 1 },
                [OTHER_REALM] = { { .name = "other", .criticality = 2 }, &other, 1, 1 },
                [CGNAT] = { { .name = "cgnat", .criticality = 2 }, &cgnat, 1, 0 },
        };
        struct sw_host_role_spec hosts[] = { { prefix("10.9.0.5/32"), SW_HOST_ROLE(SCANNER) },
                { prefix("10.9.0.0/24"), SW_HOST_ROLE(MONITOR) }, { prefix("10.9.0.5/32"), SW_HOST_ROLE(JUMP) } };
        static const char *const logs[] = { "/subscriptions/B", "/subscriptions/c/" };
        static const char *const deeper[] = { "/subscriptions/b/resourceGroups/x" };
        struct sw_realm_spec realms[] = { { "b", logs, 2 }, { "x", deeper, 1 } };
        struct sw_segments_spec spec = { segments, N_TEST_SEGMENTS, policy, n_policy, hosts, 3, realms, 2 };
        struct sw_segments *s = NULL;
        struct sw_err err;

        cr_assert_eq(sw_segments_new(&spec, &s, &err), 0, "%s", err.msg);
        return s;
}

Test(segments, nothing_configured_knows_the_classes)
{
        struct sw_segments *s = NULL;
        uint32_t id;

        cr_assert_eq(sw_segments_new(NULL, &s, NULL), 0);
        cr_assert_eq(look(s, 0, "8.8.8.8"), SW_SEGMENT_INTERNET);
        cr_assert_eq(look(s, 7, "8.8.8.8"), SW_SEGMENT_INTERNET);
        cr_assert_eq(look(s, 0, "2a01:111::1"), SW_SEGMENT_INTERNET);
        cr_assert_eq(look(s, 0, "10.0.0.1"), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(look(s, 0, "fd12::1"), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(look(s, 0, "168.63.129.16"), SW_SEGMENT_PLATFORM);
        cr_assert_eq(look(s, 0, "169.254.169.254"), SW_SEGMENT_PLATFORM);
        cr_assert_eq(look(s, 0, "100.64.0.1"), SW_SEGMENT_PLATFORM);
        cr_assert_eq(look(s, 0, "224.0.0.251"), SW_SEGMENT_PLATFORM);
        cr_assert_eq(look(s, 0, "fe80::1"), SW_SEGMENT_PLATFORM);
        cr_assert_str_eq(sw_segments_get(s, SW_SEGMENT_INTERNET)->name, "internet");
        cr_assert_str_eq(sw_segments_get(s, SW_SEGMENT_UNASSIGNED)->name, "unassigned");
        for (id = SW_SEGMENT_PLATFORM + 1; id < SW_SEGMENT_FIRST + 2; id++)
                cr_assert_null(sw_segments_get(s, id));
        cr_assert_null(sw_segments_get(s, SW_SEGMENT_IMPLICIT));
        cr_assert_null(sw_segments_get(s, SW_SEGMENT_ANY));
        cr_assert_eq(sw_segments_count(s), 0);
        cr_assert_eq(sw_segments_realm(s, SW_STR("/SUBSCRIPTIONS/A")), 0);
        cr_assert_eq(
                sw_segments_policy(s, SW_SEGMENT_IMPLICIT, SW_SEGMENT_IMPLICIT + 1, 6, 445, NULL), SW_POLICY_NO_RULE);
        cr_assert_null(sw_segments_free(s));
        cr_assert_null(sw_segments_free(NULL));
}

Test(segments, longest_configured_prefix_wins_over_class)
{
        struct sw_segments *s = network(NULL, 0);

        cr_assert_eq(look(s, 0, "10.1.255.255"), ID(WEB));
        cr_assert_eq(look(s, 0, "10.1.2.3"), ID(DB));
        cr_assert_eq(look(s, 0, "10.1.3.0"), ID(WEB));
        cr_assert_eq(look(s, 0, "10.2.0.0"), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(look(s, 0, "fd00:1::ffff"), ID(WEB));
        cr_assert_eq(look(s, 0, "fd00:1:0:1::"), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(look(s, 0, "100.64.1.1"), ID(CGNAT));
        sw_segments_free(s);
}

Test(segments, private_space_is_per_realm_and_public_space_is_not)
{
        struct sw_segments *s = network(NULL, 0);

        cr_assert_eq(look(s, 1, "10.1.2.3"), ID(OTHER_REALM));
        cr_assert_eq(look(s, 1, "10.1.0.1"), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(look(s, 2, "10.1.2.3"), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(look(s, 0, "203.0.113.9"), ID(PARTNER));
        cr_assert_eq(look(s, 1, "203.0.113.9"), ID(PARTNER));
        cr_assert_eq(look(s, 2, "203.0.114.0"), SW_SEGMENT_INTERNET);
        sw_segments_free(s);
}

Test(segments, whole_address_space_never_swallows_the_platform)
{
        struct sw_prefix all = prefix("0.0.0.0/0");
        struct sw_segment_spec one = { { .name = "all", .criticality = 2 }, &all, 1, 0 };
        struct sw_segments_spec spec = { .segments = &one, .n_segments = 1 };
        struct sw_segments *s = NULL;

        cr_assert_eq(sw_segments_new(&spec, &s, NULL), 0);
        cr_assert_eq(look(s, 0, "168.63.129.16"), SW_SEGMENT_PLATFORM);
        cr_assert_eq(look(s, 0, "8.8.8.8"), ID(0));
        cr_assert_eq(look(s, 0, "10.0.0.1"), ID(0));
        cr_assert_eq(look(s, 0, "2001:db8::1"), SW_SEGMENT_INTERNET);
        sw_segments_free(s);
}

Test(segments, same_prefix_twice_is_refused_within_a_realm_only)
{
        struct sw_prefix a = prefix("10.0.0.0/8"), b = prefix("10.0.0.0/8");
        struct sw_segment_spec two[2] = { { { .name = "one" }, &a, 1, 0 }, { { .name = "two" }, &b, 1, 0 } };
        static const struct sw_realm_spec realm = { .name = "r" };
        struct sw_segments_spec spec = { .segments = two, .n_segments = 2, .realms = &realm, .n_realms = 1 };
        struct sw_segments *s = NULL;
        struct sw_err err;

        cr_assert_eq(sw_segments_new(&spec, &s, &err), -SW_ERR_CONFIG);
        cr_assert_str_eq(err.msg, "10.0.0.0/8 belongs to segment 'one' and to segment 'two'");
        two[1].realm = 1;
        cr_assert_eq(sw_segments_new(&spec, &s, &err), 0);
        sw_segments_free(s);
        /* public addresses are in one space: there a second realm changes nothing */
        a = b = prefix("203.0.113.0/24");
        cr_assert_eq(sw_segments_new(&spec, &s, &err), -SW_ERR_CONFIG);
}

Test(segments, names_and_roles)
{
        struct sw_segments *s = network(NULL, 0);
        enum sw_segment_role role;
        unsigned bit;

        cr_assert_eq(sw_segments_count(s), N_TEST_SEGMENTS);
        cr_assert_eq(sw_segments_by_name(s, SW_STR("db")), ID(DB));
        cr_assert_eq(sw_segments_by_name(s, SW_STR("partner")), ID(PARTNER));
        cr_assert_eq(sw_segments_by_name(s, SW_STR("internet")), SW_SEGMENT_INTERNET);
        cr_assert_eq(sw_segments_by_name(s, SW_STR("unassigned")), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(sw_segments_by_name(s, SW_STR("d")), SW_SEGMENT_ANY);
        cr_assert_eq(sw_segments_by_name(s, SW_STR("dbx")), SW_SEGMENT_ANY);
        cr_assert_eq(sw_segments_by_name(s, SW_STR_NULL), SW_SEGMENT_ANY);
        cr_assert_eq(sw_segments_get(s, ID(DB))->criticality, 4);
        cr_assert(sw_segment_role_by_name(SW_STR("lb-ingress"), &role) && role == SW_SEGMENT_ROLE_LB_INGRESS);
        cr_assert_not(sw_segment_role_by_name(SW_STR("LB"), &role));
        cr_assert_str_eq(sw_segment_role_text(SW_SEGMENT_ROLE_HUB), "hub");
        cr_assert(sw_host_role_by_name(SW_STR("file-server"), &bit));
        cr_assert_str_eq(sw_host_role_text(bit), "file-server");
        cr_assert_not(sw_host_role_by_name(SW_STR(""), &bit));
        sw_segments_free(s);
}

Test(segments, host_roles_of_all_containing_prefixes_add_up)
{
        struct sw_segments *s = network(NULL, 0);
        struct sw_addr scanner = addr("10.9.0.5"), beside = addr("10.9.0.6"), outside = addr("10.9.1.0");

        cr_assert_eq(sw_segments_host_roles(s, &scanner),
                SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(JUMP) | SW_HOST_ROLE(MONITOR));
        cr_assert_eq(sw_segments_host_roles(s, &beside), SW_HOST_ROLE(MONITOR));
        cr_assert_eq(sw_segments_host_roles(s, &outside), 0);
        sw_segments_free(s);
}

Test(segments, realms_match_folded_at_a_path_boundary)
{
        struct sw_segments *s = network(NULL, 0);

        cr_assert_eq(sw_segments_realm(s, SW_STR("/SUBSCRIPTIONS/B/RESOURCEGROUPS/Y/z")), 1);
        cr_assert_eq(sw_segments_realm(s, SW_STR("/subscriptions/b")), 1);
        cr_assert_eq(sw_segments_realm(s, SW_STR("/subscriptions/bc/x")), 0);
        cr_assert_eq(sw_segments_realm(s, SW_STR("/subscriptions/C/x")), 1);
        cr_assert_eq(sw_segments_realm(s, SW_STR("/subscriptions/b/resourcegroups/X/providers")), 2);
        cr_assert_eq(sw_segments_realm(s, SW_STR_NULL), 0);
        sw_segments_free(s);
}

static enum sw_policy_verdict judge(
        const struct sw_segments *s, uint32_t from, uint32_t to, uint16_t port, unsigned *ret_line)
{
        const struct sw_policy_row *row;
        enum sw_policy_verdict v = sw_segments_policy(s, from, to, SW_PROTO_TCP, port, &row);

        *ret_line = row ? row->line : 0;
        return v;
}

Test(segments, a_named_destination_is_default_deny)
{
        struct sw_port_range sql = { SW_PROTO_TCP, 1433, 1433 };
        struct sw_policy_row rows[] = { { ID(WEB), ID(DB), &sql, 1, true, 10 },
                { ID(DB), SW_SEGMENT_INTERNET, NULL, 0, false, 11 }, { ID(WEB), SW_SEGMENT_ANY, &sql, 1, false, 12 } };
        struct sw_segments *s = network(rows, 3);
        const struct sw_policy_row *row;
        unsigned line;

        cr_assert(sw_segments_get(s, ID(DB))->default_deny);
        cr_assert_not(sw_segments_get(s, ID(WEB))->default_deny);
        cr_assert_not(sw_segments_get(s, SW_SEGMENT_INTERNET)->default_deny);
        cr_assert_eq(judge(s, ID(WEB), ID(DB), 1433, &line), SW_POLICY_ALLOWED);
        cr_assert_eq(line, 10);
        cr_assert_eq(judge(s, ID(WEB), ID(DB), 1434, &line), SW_POLICY_VIOLATION);
        cr_assert_eq(line, 0);
        cr_assert_eq(sw_segments_policy(s, ID(WEB), ID(DB), SW_PROTO_UDP, 1433, &row), SW_POLICY_VIOLATION);
        cr_assert_null(row);
        cr_assert_eq(judge(s, SW_SEGMENT_IMPLICIT + 3, ID(DB), 1433, &line), SW_POLICY_VIOLATION);
        cr_assert_eq(judge(s, SW_SEGMENT_INTERNET, ID(DB), 1433, &line), SW_POLICY_VIOLATION);
        cr_assert_eq(judge(s, ID(DB), ID(WEB), 22, &line), SW_POLICY_NO_RULE);
        cr_assert_eq(judge(s, ID(DB), SW_SEGMENT_INTERNET, 443, &line), SW_POLICY_ALLOWED);
        cr_assert_eq(line, 11);
        cr_assert_eq(judge(s, ID(WEB), SW_SEGMENT_INTERNET, 443, &line), SW_POLICY_NO_RULE);
        cr_assert_eq(judge(s, ID(WEB), SW_SEGMENT_IMPLICIT, 1433, &line), SW_POLICY_ALLOWED);
        cr_assert_eq(line, 12);
        sw_segments_free(s);
}

Test(segments, inside_a_segment_only_isolation_asks)
{
        struct sw_segments *s = network(NULL, 0);
        unsigned line;

        cr_assert_eq(judge(s, ID(WEB), ID(WEB), 445, &line), SW_POLICY_ALLOWED);
        cr_assert_eq(judge(s, ID(DB), ID(DB), 445, &line), SW_POLICY_VIOLATION);
        cr_assert_eq(judge(s, ID(WEB), ID(DB), 445, &line), SW_POLICY_NO_RULE);
        cr_assert_eq(judge(s, SW_SEGMENT_IMPLICIT, SW_SEGMENT_IMPLICIT, 445, &line), SW_POLICY_ALLOWED);
        cr_assert_eq(judge(s, SW_SEGMENT_UNASSIGNED, SW_SEGMENT_UNASSIGNED, 445, &line), SW_POLICY_NO_RULE);
        cr_assert_eq(judge(s, SW_SEGMENT_PLATFORM, ID(DB), 445, &line), SW_POLICY_ALLOWED);
        cr_assert_eq(judge(s, ID(DB), SW_SEGMENT_PLATFORM, 53, &line), SW_POLICY_ALLOWED);
        sw_segments_free(s);
}

Test(segments, most_specific_row_is_named)
{
        struct sw_port_range one = { SW_PROTO_TCP, 443, 443 }, both = { 0, 443, 443 }, wide = { SW_PROTO_TCP, 1, 1000 };
        struct sw_policy_row rows[] = { { SW_SEGMENT_ANY, SW_SEGMENT_ANY, &one, 1, false, 1 },
                { ID(WEB), SW_SEGMENT_ANY, &one, 1, false, 2 }, { SW_SEGMENT_ANY, ID(DB), &one, 1, false, 3 },
                { ID(WEB), ID(DB), NULL, 0, false, 4 }, { ID(WEB), ID(DB), &wide, 1, false, 5 },
                { ID(WEB), ID(DB), &both, 1, false, 6 }, { ID(WEB), ID(DB), &both, 1, false, 7 } };
        struct sw_segments *s = network(rows, 7);
        unsigned line;

        judge(s, ID(WEB), ID(DB), 443, &line);
        cr_assert_eq(line, 6, "the narrowest of the pair, the first of equals");
        judge(s, ID(WEB), ID(DB), 1000, &line);
        cr_assert_eq(line, 5);
        judge(s, ID(WEB), ID(DB), 1001, &line);
        cr_assert_eq(line, 4);
        judge(s, ID(PARTNER), ID(DB), 443, &line);
        cr_assert_eq(line, 3);
        judge(s, ID(WEB), ID(PARTNER), 443, &line);
        cr_assert_eq(line, 2);
        judge(s, ID(CGNAT), ID(PARTNER), 443, &line);
        cr_assert_eq(line, 1);
        sw_segments_free(s);
}

Test(segments, a_realm_keeps_its_name_whatever_its_number)
{
        const struct sw_realm_spec realms[] = { { .name = "blue" }, { .name = "green" } };
        const struct sw_realm_spec turned[] = { { .name = "green" }, { .name = "blue" } };
        const struct sw_segments_spec a = { .realms = realms, .n_realms = 2 }, b = { .realms = turned, .n_realms = 2 };
        struct sw_segments *s = NULL;

        cr_assert_eq(sw_segments_new(&a, &s, NULL), 0);
        cr_assert_str_eq(sw_segments_realm_name(s, 0), "default");
        cr_assert_str_eq(sw_segments_realm_name(s, 1), "blue");
        cr_assert_str_eq(sw_segments_realm_name(s, 3), "default");
        sw_segments_free(s);
        cr_assert_eq(sw_segments_new(&b, &s, NULL), 0);
        cr_assert_str_eq(sw_segments_realm_name(s, 1), "green");
        cr_assert_str_eq(sw_segments_realm_name(s, 2), "blue");
        sw_segments_free(s);
}
