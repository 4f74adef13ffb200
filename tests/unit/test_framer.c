/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/framer.h"

#include "decode_kit.h"

#define TUPLE "'1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0'"

struct total {
        uint64_t pieces, messages, message_errors, records, tuples, record_errors, bytes;
        uint64_t hash; /* of fingerprints and offsets, in order */
};

static void add(struct total *t, const struct sw_batch *b)
{
        uint32_t i;

        t->messages += b->stats.messages;
        t->message_errors += b->stats.message_errors;
        t->records += b->n_records;
        t->tuples += b->n_tuples;
        t->record_errors += b->stats.record_errors;
        for (i = 0; i < b->n_records; i++)
                t->hash = (t->hash ^ b->records[i].fingerprint.lo ^ b->records[i].offset) * 1099511628211u;
}

/* Both ways in; more room is asked for than is used, as of a read that came short. */
static void feed(struct sw_framer *f, const char *p, size_t n, bool in_place)
{
        char *room;

        if (!in_place) {
                cr_assert_eq(sw_framer_feed(f, p, n), 0);
                return;
        }
        room = sw_framer_room(f, n + 7);
        cr_assert(room);
        memset(room, '}', n + 7);
        memcpy(room, p, n);
        sw_framer_fed(f, n);
}

/* Feeds `step` bytes at a time and decodes every piece. flush: asks for what is whole after each. */
static struct total run_flushed(struct sw_str s, size_t step, const struct sw_framer_conf *conf, bool flush)
{
        struct sw_framer *f = NULL;
        struct total t = { 0 };
        struct sw_piece p;
        struct kit k;
        size_t at = 0;
        int r;

        kit_init(&k, false);
        cr_assert_eq(sw_framer_new(conf, &f), 0);
        while ((r = sw_framer_next(f, &p)) != SW_FRAMER_END) {
                size_t n = s.n - at < step ? s.n - at : step;

                if (r == SW_FRAMER_MORE && flush)
                        r = sw_framer_flush(f, &p);
                if (r == SW_FRAMER_OK) {
                        cr_assert_leq(p.offset + p.bytes.n, s.n);
                        cr_assert(memcmp(p.bytes.p, s.p + p.offset, p.bytes.n) == 0, "offset is exact");
                        sw_batch_reset(&k.b);
                        cr_assert_eq(sw_decode(k.decoder, p.bytes, p.flags, p.offset, &k.b), 0);
                        add(&t, &k.b);
                        t.pieces++;
                        t.bytes += p.bytes.n;
                        continue;
                }
                if (n == 0)
                        sw_framer_finish(f);
                else
                        feed(f, s.p + at, n, at % 3 == 1);
                at += n;
        }
        cr_assert_eq(sw_framer_next(f, &p), SW_FRAMER_END);
        f = sw_framer_free(f);
        kit_deinit(&k);
        return t;
}

static struct total run(struct sw_str s, size_t step, const struct sw_framer_conf *conf)
{
        return run_flushed(s, step, conf, false);
}

static const struct {
        const char *text;
        unsigned messages, records, message_errors;
} rows[] = {
        { "", 0, 0, 0 },
        { " \n\n", 0, 0, 0 },
        { "{'records':[" VNET(TUPLE) "," VNET(TUPLE) "," VNET(TUPLE) "]}", 1, 3, 0 },
        { "\xef\xbb\xbf{ 'x':{'records':[{}]}, 'records' : [\n" VNET(TUPLE) "\n] , 'y':'z' }\n", 1, 1, 0 },
        { "[" VNET(TUPLE) "," VNET(TUPLE) "]", 1, 2, 0 },
        { VNET(TUPLE), 1, 1, 0 },
        { VNET(TUPLE) "\n" VNET(TUPLE) "\r\n" VNET(TUPLE) "\n", 3, 3, 0 },
        { VNET(TUPLE) VNET(TUPLE), 2, 2, 0 },
        { "," VNET(TUPLE) "," VNET(TUPLE) "]}", 1, 2, 0 },
        { "{'records':[" VNET(TUPLE) "," VNET(TUPLE), 1, 2, 0 },
        { "{'records':[" VNET(TUPLE) "]}\n{'records':[]}\n[]\n{'records':[" VNET(TUPLE) "]}", 4, 2, 0 },
        { "{'records':[{'records':[" VNET(TUPLE) "," VNET(TUPLE) "]}," VNET(TUPLE) "]}", 1, 3, 0 },
        { VNET(TUPLE) "\n{}\n" VNET(TUPLE), 3, 2, 1 },
        { VNET(TUPLE) "\n{'a':{'b':\n" VNET(TUPLE) "\n" VNET(TUPLE), 3, 2, 1 },
        { VNET(TUPLE) "\nnonsense\n" VNET(TUPLE), 3, 2, 1 },
        { "{'records':[" VNET(TUPLE) ",{'time':'20", 1, 1, 0 },
};

Test(framer, any_feeding_gives_the_same_tuples)
{
        size_t i, s;
        static const size_t steps[] = { 1, 2, 3, 7, 64, 100000 }, pieces[] = { 0, 1, 700, 1500 };

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                char buf[16384];
                struct sw_str text = kit_json(rows[i].text, buf, sizeof(buf));
                size_t p;

                for (p = 0; p < 4; p++) {
                        struct sw_framer_conf conf = { .piece_bytes = pieces[p] };
                        struct total first = run(text, 100000, &conf);

                        cr_assert_eq(first.records, rows[i].records, "%s: %d", rows[i].text, (int)first.records);
                        cr_assert_eq(first.tuples, rows[i].records);
                        cr_assert_eq(first.messages, rows[i].messages, "row %zu piece %zu: %d messages", i, pieces[p],
                                (int)first.messages);
                        cr_assert_eq(first.message_errors, rows[i].message_errors, "row %zu", i);
                        for (s = 0; s < sizeof(steps) / sizeof(*steps); s++) {
                                struct total t = run(text, steps[s], &conf);

                                cr_assert(memcmp(&t, &first, sizeof(t)) == 0, "row %zu step %zu piece %zu", i, steps[s],
                                        pieces[p]);
                        }
                }
        }
}

Test(framer, what_is_flushed_as_it_grows_is_the_same)
{
        static const size_t steps[] = { 1, 3, 7, 64, 700, 100000 };
        size_t i, s;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                char buf[16384];
                struct sw_str text = kit_json(rows[i].text, buf, sizeof(buf));
                struct total first = run(text, 100000, NULL);

                for (s = 0; s < sizeof(steps) / sizeof(*steps); s++) {
                        struct total t = run_flushed(text, steps[s], NULL, true);

                        cr_assert_eq(t.records, rows[i].records, "row %zu step %zu: %d", i, steps[s], (int)t.records);
                        cr_assert_eq(t.messages, rows[i].messages, "row %zu step %zu: %d messages", i, steps[s],
                                (int)t.messages);
                        cr_assert(t.hash == first.hash && t.tuples == first.tuples);
                        cr_assert_eq(t.record_errors, first.record_errors, "row %zu step %zu", i, steps[s]);
                }
        }
}

Test(framer, a_flush_hands_out_whole_lines_and_keeps_the_one_that_is_not)
{
        char buf[16384];
        struct sw_str s = kit_json(VNET(TUPLE) "\n" VNET(TUPLE) "\n{'time':'20", buf, sizeof(buf));
        size_t whole = s.n - strlen("{'time':'20");
        struct sw_framer *f = NULL;
        struct sw_piece p;

        cr_assert_eq(sw_framer_new(NULL, &f), 0);
        cr_assert_eq(sw_framer_flush(f, &p), SW_FRAMER_MORE);
        cr_assert_eq(sw_framer_feed(f, s.p, s.n), 0);
        cr_assert_eq(sw_framer_next(f, &p), SW_FRAMER_MORE);
        cr_assert_eq(sw_framer_flush(f, &p), SW_FRAMER_OK);
        cr_assert_eq(p.offset, 0);
        cr_assert_eq(p.bytes.n, whole);
        cr_assert_eq(p.flags, SW_DECODE_MESSAGE | SW_DECODE_LINES);
        cr_assert_eq(sw_framer_next(f, &p), SW_FRAMER_MORE);
        cr_assert_eq(sw_framer_flush(f, &p), SW_FRAMER_MORE);
        cr_assert_eq(sw_framer_feed(f, "24\"}\n", 5), 0);
        cr_assert_eq(sw_framer_next(f, &p), SW_FRAMER_MORE);
        cr_assert_eq(sw_framer_flush(f, &p), SW_FRAMER_OK);
        cr_assert_eq(p.offset, whole);
        cr_assert_eq(p.flags, SW_DECODE_MESSAGE);
        sw_framer_finish(f);
        cr_assert_eq(sw_framer_next(f, &p), SW_FRAMER_END);
        sw_framer_free(f);
}

Test(framer, pieces_hold_whole_records_and_say_where_a_message_begins_and_ends)
{
        char buf[16384];
        struct sw_str s = kit_json("{'records':[" VNET(TUPLE) "," VNET(TUPLE) "," VNET(TUPLE) "]}\n", buf, sizeof(buf));
        struct sw_framer_conf conf = { .piece_bytes = 16 };
        unsigned want[] = { SW_DECODE_MESSAGE_START, 0, SW_DECODE_MESSAGE_END };
        struct sw_framer *f = NULL;
        struct sw_piece p;
        unsigned i;

        cr_assert_eq(sw_framer_new(&conf, &f), 0);
        cr_assert_eq(sw_framer_feed(f, s.p, s.n), 0);
        sw_framer_finish(f);
        for (i = 0; i < 3; i++) {
                cr_assert_eq(sw_framer_next(f, &p), SW_FRAMER_OK);
                cr_assert_eq(p.flags, want[i], "piece %u: %x", i, p.flags);
                cr_assert_eq(p.time.ms, 1733976053123);
        }
        cr_assert_eq(sw_framer_next(f, &p), SW_FRAMER_END);
        sw_framer_free(f);
}

Test(framer, several_whole_messages_share_a_piece)
{
        char buf[16384];
        struct sw_str s = kit_json("{}\n{}\n{}\n", buf, sizeof(buf));
        struct total t = run(s, 1, NULL);

        cr_assert_eq(t.pieces, 1);
        cr_assert_eq(t.messages, 3);
        cr_assert_eq(t.message_errors, 3);
}

Test(framer, a_record_that_is_too_long_is_skipped_and_counted)
{
        static char big[300000];
        struct sw_framer_conf conf = { .piece_bytes = 1000, .record_max = 100000 };
        char buf[4096];
        struct sw_str good = kit_json(VNET(TUPLE), buf, sizeof(buf));
        size_t n = 0, step;

        n += (size_t)snprintf(big, sizeof(big), "{\"records\":[%.*s,{\"x\":\"", (int)good.n, good.p);
        memset(big + n, 'a', 200000);
        n += 200000;
        n += (size_t)snprintf(big + n, sizeof(big) - n, "\"},%.*s]}", (int)good.n, good.p);
        for (step = 100; step <= 1000000; step *= 100) {
                struct total t = run((struct sw_str){ big, n }, step, &conf);

                cr_assert_eq(t.records, 2);
                cr_assert_eq(t.record_errors, 1);
                cr_assert_eq(t.messages, 1);
                cr_assert_lt(t.bytes, 10000);
        }
}

Test(framer, garbage_and_separators_need_no_memory)
{
        static char noise[1 << 20];
        struct total t;

        memset(noise, 'x', sizeof(noise));
        t = run((struct sw_str){ noise, sizeof(noise) }, 4096, NULL);
        cr_assert_eq(t.messages, 1);
        cr_assert_eq(t.message_errors, 1);
        cr_assert_leq(t.bytes, 1);
        memset(noise, ',', sizeof(noise));
        t = run((struct sw_str){ noise, sizeof(noise) }, 4096, NULL);
        cr_assert_eq(t.messages, 1);
        cr_assert_geq(t.pieces, 3);
}

Test(framer, the_time_of_a_piece_is_that_of_its_first_record)
{
        static const struct {
                const char *text;
                int64_t ms;
        } times[] = {
                { "{'time':'2024-12-12T04:00:53Z'}", 1733976053000 },
                { "{'time' \n:\t'2024-12-12T04:00:53Z'", 1733976053000 },
                { "{'x':'time','time':'2024-12-12T04:00:53Z'", 1733976053000 },
                { "{'time'", INT64_MIN },
                { "{'time' ", INT64_MIN },
                { "{'time':", INT64_MIN },
                { "{'time': ", INT64_MIN },
                { "{'time':5,'time':'2024-12-12T04:00:53Z'", INT64_MIN },
                { "{'time':'2024-12-12T04:00:53Z", INT64_MIN },
                { "{'time':'never'", INT64_MIN },
                { "", INT64_MIN },
        };
        char buf[256];
        size_t i;

        for (i = 0; i < sizeof(times) / sizeof(*times); i++)
                cr_assert_eq(sw_framer_peek_time(kit_json(times[i].text, buf, sizeof(buf))).ms, times[i].ms, "%s",
                        times[i].text);
}

/* The record that is too long is the second message of its piece; or its end is no JSON; or it hides an envelope. */
Test(framer, a_record_that_is_too_long_may_stand_anywhere)
{
        static char big[400000];
        struct sw_framer_conf conf = { .piece_bytes = 1000, .record_max = 1 }; /* the least: 256 */
        char buf[4096];
        struct sw_str good = kit_json(VNET(TUPLE), buf, sizeof(buf));
        size_t step;
        unsigned kind;

        conf.record_max = 100000;
        conf.piece_bytes = 300000;
        for (kind = 0; kind < 3; kind++)
                for (step = 100; step <= 1000000; step *= 100) {
                        size_t n = 0;
                        struct total t;

                        n += (size_t)snprintf(big, sizeof(big), "%.*s\n{\"x\":\"", (int)good.n, good.p);
                        memset(big + n, 'a', 200000);
                        n += 200000;
                        n += (size_t)snprintf(big + n, sizeof(big) - n, "%s\n%.*s\n",
                                kind == 0   ? "\"}"
                                : kind == 1 ? "\n"
                                            : "\",\"records\":[1]}",
                                (int)good.n, good.p);
                        t = run((struct sw_str){ big, n }, step, &conf);
                        cr_assert_eq(t.records, 2, "kind %u step %zu: %d", kind, step, (int)t.records);
                        cr_assert_geq(t.record_errors, 1);
                        cr_assert_eq(t.messages, 3, "kind %u step %zu: %d", kind, step, (int)t.messages);
                }
}

Test(framer, the_least_of_a_record_is_what_its_error_shows)
{
        struct sw_framer_conf conf = { .piece_bytes = 100, .record_max = 1 };
        char buf[1024];
        struct sw_str s = kit_json("{'records':[{'x':'a'},{'x':'b'}]}", buf, sizeof(buf));
        struct sw_framer *f = NULL;
        struct total t;

        t = run(s, 7, &conf);
        cr_assert_eq(t.record_errors, 2, "no flows, but not too long");
        cr_assert_eq(t.messages, 1);
        cr_assert_eq(sw_framer_new(NULL, &f), 0);
        cr_assert_eq(sw_framer_feed(f, "", 0), 0);
        cr_assert_null(sw_framer_free(f));
        cr_assert_null(sw_framer_free(NULL));
}
