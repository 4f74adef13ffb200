/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One file, also one that grows, read in steps. When it is followed it survives rotation (renamed, a new one in its
 * place: the old one is read to its end first) and truncation, and what is incomplete at the end waits for its rest.
 * Gzip is recognised by its magic; a file that is followed cannot be gzip.
 *
 * All files that are read one after the other make one stream; its positions only grow. Each file begins somewhere in
 * it, so that a position says which file and which byte. Threads: one at a time; a step may wait for the disk. */
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct sw_tail_conf {
        const char *path;
        bool follow;
        size_t record_max; /* 0: the framer's default */
        /* Where to go on: this byte (inflated), if it is this inode still. 0: from the start. Of a file that is
         * followed and was renamed meanwhile, the rest is read first, if it lies in the same folder. */
        uint64_t inode;
        int64_t next;
};

struct sw_tail_piece {
        struct sw_tail_piece *next;
        int64_t position, end; /* in the stream: of its first byte, and where what follows begins */
        uint64_t offset;       /* of its first byte in its (inflated) file, */
        uint64_t inode;        /* which is this one */
        unsigned flags;        /* SW_DECODE_* */
        struct sw_etime time;  /* of its first record, NONE if unknown */
        size_t n;
        char bytes[]; /* freed with the piece: sw_free */
};

/* A file begins in the stream. */
struct sw_tail_begin {
        bool happened;
        bool gone; /* what was read before it cannot be read again: its file was cut off */
        uint64_t inode;
        int64_t position; /* in the stream, of the file's first byte */
};

struct sw_tail_step {
        struct sw_tail_piece *first, *last;
        struct sw_tail_begin begin; /* before the pieces */
        bool at_end;                /* nothing more for now */
        bool ended;                 /* nothing more, ever */
        int64_t next;               /* position in the stream that was read up to */
        uint64_t left;              /* bytes of the file that were not read yet */
        const char *event;          /* what happened, for the log; NULL: nothing worth telling */
        bool warning;
        char text[256];
};

/* How far to read for now: a piece ends there. */
struct sw_tail_limit {
        bool set;
        uint64_t inode; /* up to byte `until` of this file, */
        int64_t until;
        uint64_t from_inode; /* after all of this one; nothing of any other */
};

struct sw_tail_reader;
int sw_tail_reader_new(const struct sw_tail_conf *conf, struct sw_tail_reader **ret); /* 0 | -SW_ERR_NOMEM */
struct sw_tail_reader *sw_tail_reader_free(struct sw_tail_reader *r);                 /* NULL-safe, returns NULL */

void sw_tail_reader_limit(struct sw_tail_reader *r, const struct sw_tail_limit *limit); /* of the steps from now on */

/* Opens the file if none is open. Fills all of *ret; the pieces are the caller's. Negative: it cannot be read for now,
 * -SW_ERR_NOENT when it is not there; call again later. */
int sw_tail_reader_open(struct sw_tail_reader *r, struct sw_tail_step *ret, struct sw_err *reterr);
/* The same, and reads on, about 1 MiB. -SW_ERR_DATA: damaged gzip; what came before is in *ret, and it has ended. */
int sw_tail_reader_step(struct sw_tail_reader *r, struct sw_tail_step *ret, struct sw_err *reterr);
void sw_tail_step_free(struct sw_tail_step *s); /* the pieces */
