/* SPDX-License-Identifier: Apache-2.0 */
/* A file in pieces means what it means whole, however it is fed, and when it is read as it grows. First byte: size of
 * pieces; second: where the feeding is split; third: limit of records; the rest: the file. */
#include "decode/decoder.h"
#include "decode/framer.h"
#include "fuzz.h"

#include <string.h>

struct framed {
        struct sw_batch b;
        uint64_t pieces, hash, messages, record_errors, tuple_errors, skipped, records, tuples, meaning;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
        return (h ^ v) * UINT64_C(0x100000001b3) ^ h >> 29;
}

static void add(struct framed *f, struct sw_decoder *d, const struct sw_piece *p)
{
        uint32_t i;
        size_t k;

        sw_batch_reset(&f->b);
        FUZZ_CHECK(sw_decode(d, p->bytes, p->flags, p->offset, &f->b) == 0, "memory");
        f->pieces++;
        f->hash = mix(mix(mix(f->hash, p->offset), p->flags), (uint64_t)p->time.ms);
        for (k = 0; k < p->bytes.n; k++)
                f->hash = mix(f->hash, (unsigned char)p->bytes.p[k]);
        f->messages += f->b.stats.messages;
        f->record_errors += f->b.stats.record_errors;
        f->tuple_errors += f->b.stats.tuple_errors;
        f->skipped += f->b.stats.records_skipped;
        f->records += f->b.n_records;
        f->tuples += f->b.n_tuples;
        for (i = 0; i < f->b.n_records; i++)
                f->meaning = mix(mix(f->meaning, f->b.records[i].fingerprint.lo), f->b.records[i].offset);
}

static struct framed frame(
        struct sw_decoder *d, struct sw_str s, const struct sw_framer_conf *conf, uint64_t split, bool flush)
{
        struct framed total = { .b = SW_BATCH_NULL };
        struct sw_framer *f = NULL;
        struct sw_piece p;
        size_t at = 0;
        int r;

        FUZZ_CHECK(sw_framer_new(conf, &f) == 0, "memory");
        while ((r = sw_framer_next(f, &p)) != SW_FRAMER_END) {
                size_t n = split ? 1 + (split >> 33) % 97 : s.n;

                split = split ? split * UINT64_C(6364136223846793005) + 1442695040888963407 : 0;
                n = n < s.n - at ? n : s.n - at;
                if (r == SW_FRAMER_MORE && flush)
                        r = sw_framer_flush(f, &p);
                if (r == SW_FRAMER_OK) {
                        FUZZ_CHECK(p.offset + p.bytes.n <= s.n && memcmp(s.p + p.offset, p.bytes.p, p.bytes.n) == 0,
                                "offset");
                        add(&total, d, &p);
                        continue;
                }
                if (n == 0)
                        sw_framer_finish(f);
                else
                        FUZZ_CHECK(sw_framer_feed(f, s.p + at, n) == 0, "memory");
                at += n;
        }
        sw_framer_free(f);
        sw_batch_deinit(&total.b);
        return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_decoder_conf conf = { .seed = 3 };
        struct sw_framer_conf frames;
        struct framed whole, split, grown, once = { .b = SW_BATCH_NULL };
        struct sw_decoder *d = NULL;
        struct sw_piece all = { .flags = SW_DECODE_MESSAGE | SW_DECODE_LINES };

        if (size < 4)
                return 0;
        frames = (struct sw_framer_conf){ .piece_bytes = 1 + (size_t)data[0] * 8,
                .record_max = data[2] < 128 ? 0 : 256 };
        all.bytes = (struct sw_str){ (const char *)data + 3, size - 3 };
        if (all.bytes.p[0] == 0x1f)
                return 0; /* the decoder would inflate it, the framer would not */
        FUZZ_CHECK(sw_decoder_new(&conf, &d) == 0, "memory");
        whole = frame(d, all.bytes, &frames, 0, false);
        split = frame(d, all.bytes, &frames, (uint64_t)(data[1] + 1) << 33 | 1, false);
        FUZZ_CHECK(whole.hash == split.hash && whole.pieces == split.pieces, "feeding changes the pieces: %d, %d",
                (int)whole.pieces, (int)split.pieces);
        FUZZ_CHECK(whole.meaning == split.meaning, "feeding changes the records");
        if (frames.record_max == 0 && whole.pieces) {
                grown = frame(d, all.bytes, &frames, (uint64_t)(data[1] + 1) << 33 | 1, true);
                FUZZ_CHECK(
                        grown.meaning == whole.meaning && grown.tuples == whole.tuples, "flushing changes the records");
                add(&once, d, &all);
                FUZZ_CHECK(once.meaning == whole.meaning && once.tuples == whole.tuples, "records: %d whole, %d framed",
                        (int)once.records, (int)whole.records);
                FUZZ_CHECK(once.messages == whole.messages, "messages: %d whole, %d framed", (int)once.messages,
                        (int)whole.messages);
                FUZZ_CHECK(once.record_errors == whole.record_errors, "record errors: %d whole, %d framed",
                        (int)once.record_errors, (int)whole.record_errors);
                FUZZ_CHECK(once.tuple_errors == whole.tuple_errors && once.skipped == whole.skipped, "counters");
        }
        sw_batch_deinit(&once.b);
        sw_decoder_free(d);
        return 0;
}
