/* SPDX-License-Identifier: Apache-2.0 */
/* Decodes files through the framer and prints what the decoder knows of the --summary as one JSON line per file; also
 * the benchmark of the room. Not installed.
 *
 *   decode_file [--reference] [--whole] [--piece BYTES] [--rounds N] FILE...
 *
 * --whole: the file is one message (as from Kafka). --rounds: decode N times, print the best speed by CPU time to stderr. */
#include "base/alloc.h"
#include "base/jsonw.h"
#include "base/table.h"
#include "decode/decoder.h"
#include "decode/framer.h"
#include "decode/inflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
        MESSAGES,
        MESSAGE_ERRORS,
        RECORDS,
        DUPLICATE,
        SKIPPED,
        RECORD_ERRORS,
        TUPLES,
        BEGIN,
        CONTINUE,
        END,
        DENIED,
        STATELESS,
        TUPLE_ERRORS,
        COUNTERS,
        N_KEYS = COUNTERS + SW_N_COUNTERS
};

static const char *const keys[N_KEYS] = { "messages", "message_errors", "records", "records_duplicate",
        "records_skipped", "record_errors", "tuples", "tuples_begin", "tuples_continue", "tuples_end", "tuples_denied",
        "tuples_stateless", "tuple_errors", "packets_forward", "bytes_forward", "packets_reverse", "bytes_reverse" };

struct run {
        struct sw_decoder *decoder;
        struct sw_batch batch;
        struct sw_table seen;
        uint64_t n[N_KEYS];
};

static void die(const char *what)
{
        fprintf(stderr, "decode_file: %s\n", what);
        exit(1);
}

static void count_tuple(struct run *run, const struct sw_tuple *t)
{
        unsigned i;

        run->n[TUPLES]++;
        if (t->flags & SW_TUPLE_STATELESS)
                run->n[STATELESS]++;
        else
                run->n[BEGIN + t->state]++;
        for (i = 0; i < SW_N_COUNTERS; i++)
                run->n[COUNTERS + i] += t->counters[i];
}

static void count_batch(struct run *run)
{
        const struct sw_batch *b = &run->batch;
        uint32_t i, j;

        run->n[MESSAGES] += b->stats.messages;
        run->n[MESSAGE_ERRORS] += b->stats.message_errors;
        run->n[SKIPPED] += b->stats.records_skipped;
        run->n[RECORD_ERRORS] += b->stats.record_errors;
        run->n[TUPLE_ERRORS] += b->stats.tuple_errors;
        run->n[RECORDS] += b->n_records;
        for (i = 0; i < b->n_records; i++) {
                bool created = false;

                if (!sw_table_insert(&run->seen, &b->records[i].fingerprint, &created))
                        die("no memory");
                run->n[DUPLICATE] += !created;
                for (j = 0; created && j < b->records[i].n_tuples; j++)
                        count_tuple(run, &b->tuples[b->records[i].first_tuple + j]);
        }
}

static void decode(struct run *run, struct sw_str bytes, unsigned flags, uint64_t offset, bool count)
{
        sw_batch_reset(&run->batch);
        if (sw_decode(run->decoder, bytes, flags, offset, &run->batch))
                die("no memory");
        if (count)
                count_batch(run);
}

static void frame(struct run *run, struct sw_str bytes, size_t piece, bool count)
{
        struct sw_framer_conf conf = { .piece_bytes = piece };
        struct sw_framer *f = NULL;
        struct sw_piece p;
        size_t at = 0;
        int r;

        if (sw_framer_new(&conf, &f))
                die("no memory");
        while ((r = sw_framer_next(f, &p)) != SW_FRAMER_END) {
                size_t n = bytes.n - at < 256 * 1024 ? bytes.n - at : 256 * 1024;

                if (r == SW_FRAMER_OK) {
                        decode(run, p.bytes, p.flags, p.offset, count);
                        continue;
                }
                if (n == 0)
                        sw_framer_finish(f);
                else if (sw_framer_feed(f, bytes.p + at, n))
                        die("no memory");
                at += n;
        }
        sw_framer_free(f);
}

static struct sw_str read_file(const char *path, struct sw_buf *buf)
{
        static char block[1 << 16];
        FILE *in = fopen(path, "rb");
        struct sw_buf plain = SW_BUF_NULL;
        size_t n;

        if (!in)
                die(path);
        while ((n = fread(block, 1, sizeof(block), in)) > 0)
                sw_buf_put(buf, block, n);
        fclose(in);
        if (sw_inflate_is_gzip((struct sw_str){ buf->p, buf->n })) {
                if (sw_inflate_whole((struct sw_str){ buf->p, buf->n }, SIZE_MAX / 2, &plain))
                        die("damaged gzip");
                sw_buf_deinit(buf);
                *buf = plain;
        }
        return (struct sw_str){ buf->p, buf->n };
}

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print(const struct run *run)
{
        struct sw_buf out = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&out);
        unsigned i;

        sw_jsonw_object(&w);
        for (i = 0; i < N_KEYS; i++)
                sw_jsonw_ku64(&w, keys[i], run->n[i]);
        sw_jsonw_end_object(&w);
        printf("%.*s\n", (int)out.n, out.p);
        sw_buf_deinit(&out);
}

int main(int argc, char **argv)
{
        static const struct sw_table_spec spec = { "seen", 1, sizeof(struct sw_u128), sizeof(struct sw_u128), NULL };
        struct sw_decoder_conf conf = { .seed = 1 };
        bool whole = false;
        size_t piece = 0;
        long rounds = 0, round;
        int i;

        for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
                if (strcmp(argv[i], "--reference") == 0)
                        conf.reference_only = true;
                else if (strcmp(argv[i], "--whole") == 0)
                        whole = true;
                else if (strcmp(argv[i], "--piece") == 0 && i + 1 < argc)
                        piece = strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
                        rounds = strtol(argv[++i], NULL, 10);
                else
                        die("usage: decode_file [--reference] [--whole] [--piece BYTES] [--rounds N] FILE...");
        }
        for (; i < argc; i++) {
                struct run run = { .batch = SW_BATCH_NULL };
                struct sw_buf buf = SW_BUF_NULL;
                struct sw_str bytes = read_file(argv[i], &buf);
                double best = 1e9;

                if (sw_decoder_new(&conf, &run.decoder) ||
                        sw_table_init(&run.seen, &spec, (size_t)1 << 30, &(struct sw_hash_key){ 1, 2 }, NULL))
                        die("no memory");
                for (round = 0; round <= rounds; round++) {
                        double began = seconds(), took;

                        if (whole)
                                decode(&run, bytes, SW_DECODE_MESSAGE, 0, round == 0);
                        else
                                frame(&run, bytes, piece, round == 0);
                        took = seconds() - began;
                        best = round && took < best ? took : best;
                }
                if (rounds)
                        fprintf(stderr, "%s: %.3f GB/s\n", argv[i], (double)bytes.n / best / 1e9);
                print(&run);
                sw_table_deinit(&run.seen);
                run.decoder = sw_decoder_free(run.decoder);
                sw_batch_deinit(&run.batch);
                sw_buf_deinit(&buf);
        }
        return 0;
}
