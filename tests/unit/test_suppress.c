/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/suppress.h"
#include "fake_view.h"

#include <criterion/criterion.h>

static struct sw_view *v;
static struct sw_signal s;

static void setup(void)
{
        v = fake_view_new();
        s = (struct sw_signal){ .detector = SW_DETECTOR_HORIZONTAL_SCAN,
                .time = { FAKE_START },
                .actor = fake_host(v, "10.1.0.5"),
                .targets = { fake_host(v, "10.2.0.1"), fake_host(v, "10.2.0.2") },
                .n_targets = 2,
                .n_targets_total = 2,
                .proto = SW_PROTO_TCP,
                .port = 445 };
}

static void teardown(void)
{
        v = fake_view_free(v);
}

TestSuite(suppress, .init = setup, .fini = teardown);

static bool matches(struct sw_suppression x)
{
        const struct sw_suppressions all = { &x, 1 };

        if (x.expires.ms == 0)
                x.expires = SW_ETIME_NONE;
        return sw_suppress(&all, v, &s) == &x;
}

static struct sw_prefix prefix(const char *text)
{
        struct sw_prefix p;
        bool bits;

        cr_assert(sw_prefix_parse(sw_str_of(text), &p, &bits));
        return p;
}

Test(suppress, nothing_configured_suppresses_nothing)
{
        const struct sw_suppressions none = { NULL, 0 };

        cr_assert_null(sw_suppress(NULL, v, &s));
        cr_assert_null(sw_suppress(&none, v, &s));
}

Test(suppress, a_detector_is_one_of_those_named)
{
        cr_assert(matches((struct sw_suppression){ .detectors = 1u << SW_DETECTOR_HORIZONTAL_SCAN }));
        cr_assert_not(matches((struct sw_suppression){ .detectors = 1u << SW_DETECTOR_VERTICAL_SCAN }));
}

Test(suppress, it_ends_with_the_millisecond_of_its_expiry)
{
        cr_assert(matches((struct sw_suppression){ .id = "a", .expires = { FAKE_START + 1 } }));
        cr_assert_not(matches((struct sw_suppression){ .id = "a", .expires = { FAKE_START } }));
}

Test(suppress, a_source_is_a_range_or_a_segment)
{
        struct sw_prefix in = prefix("10.1.0.0/24"), out = prefix("10.1.1.0/24");
        uint32_t web = FAKE_WEB, db = FAKE_DB;

        cr_assert(matches((struct sw_suppression){ .source = { &in, 1, NULL, 0 } }));
        cr_assert_not(matches((struct sw_suppression){ .source = { &out, 1, NULL, 0 } }));
        cr_assert(matches((struct sw_suppression){ .source = { NULL, 0, &web, 1 } }));
        cr_assert_not(matches((struct sw_suppression){ .source = { NULL, 0, &db, 1 } }));
        cr_assert(matches((struct sw_suppression){ .source = { &out, 1, &web, 1 } }), "either is enough");
}

Test(suppress, every_target_must_be_a_destination)
{
        struct sw_prefix both = prefix("10.2.0.0/30"), one = prefix("10.2.0.1");

        cr_assert(matches((struct sw_suppression){ .destination = { &both, 1, NULL, 0 } }));
        cr_assert_not(matches((struct sw_suppression){ .destination = { &one, 1, NULL, 0 } }));
        s.n_targets_total = 3;
        cr_assert_not(matches((struct sw_suppression){ .destination = { &both, 1, NULL, 0 } }), "who is the third?");
        cr_assert(matches((struct sw_suppression){ .detectors = 0 }), "without a destination it does not matter");
        s.n_targets = s.n_targets_total = 0;
        cr_assert_not(matches((struct sw_suppression){ .destination = { &both, 1, NULL, 0 } }));
}

Test(suppress, a_service_is_the_one_port_of_the_signal)
{
        struct sw_port_range tcp = { SW_PROTO_TCP, 440, 445 }, udp = { SW_PROTO_UDP, 445, 445 }, any = { 0, 445, 445 },
                             above = { SW_PROTO_TCP, 446, 500 };

        cr_assert(matches((struct sw_suppression){ .services = &tcp, .n_services = 1 }));
        cr_assert(matches((struct sw_suppression){ .services = &any, .n_services = 1 }));
        cr_assert_not(matches((struct sw_suppression){ .services = &udp, .n_services = 1 }));
        cr_assert_not(matches((struct sw_suppression){ .services = &above, .n_services = 1 }));
        s.port = 0;
        cr_assert_not(matches((struct sw_suppression){ .services = &any, .n_services = 1 }), "several ports");
}

Test(suppress, the_unassigned_are_those_of_implicit_segments_as_well)
{
        uint32_t unassigned = SW_SEGMENT_UNASSIGNED;

        v->hosts[s.actor].segment = SW_SEGMENT_IMPLICIT + 7;
        cr_assert(matches((struct sw_suppression){ .source = { NULL, 0, &unassigned, 1 } }));
}

Test(suppress, the_first_in_the_file_is_told)
{
        struct sw_suppression two[2] = { { .id = "a", .expires = SW_ETIME_NONE, .detectors = 1 },
                { .id = "b", .expires = SW_ETIME_NONE } };
        const struct sw_suppressions all = { two, 2 };

        cr_assert_str_eq(sw_suppress(&all, v, &s)->id, "b");
        two[0].detectors = 0;
        cr_assert_str_eq(sw_suppress(&all, v, &s)->id, "a");
}
