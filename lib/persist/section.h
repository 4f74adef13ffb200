/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The file of a snapshot: a head of 24 bytes, then sections, the last one named "end".
 *
 *   file     "segwatch" | u32 format | u32 0x01020304 (byte order) | u64 XXH3 of these
 *   section  char name[32], NUL-padded | u32 version | u32 0 | u64 length | u64 XXH3 of these | payload | u64 XXH3
 *
 * Checksums are seeded with the number of the section, so that a section that is missing, repeated or out of its place
 * shows. They tell damage, not malice: the folder of the state belongs to the daemon. */
#include "base/err.h"
#include "base/str.h"

#define SW_STATE_FORMAT 1u
#define SW_SECTION_NAME 32u
#define SW_SECTION_HEAD 56u /* before the payload */
#define SW_SECTION_TAIL 8u  /* behind it */
#define SW_FILE_HEAD 24u

/* Appends the head of a file. */
void sw_section_begin_file(struct sw_buf *out);
/* Where a payload of n bytes stands at p + SW_SECTION_HEAD: fills head and tail. */
void sw_section_seal(unsigned char *p, const char *name, uint32_t version, size_t n, uint64_t number);
/* Appends a section. */
void sw_section_put(
        struct sw_buf *out, const char *name, uint32_t version, const struct sw_buf *payload, uint64_t number);

/* Fills buf completely unless the file ends. 0 or negative. */
typedef int (*sw_section_source)(void *ctx, void *buf, size_t n, size_t *ret_n);

struct sw_section {
        char name[SW_SECTION_NAME + 1];
        uint32_t version;
        const unsigned char *p; /* valid until the next */
        size_t n;
};

struct sw_section_reader {
        sw_section_source source;
        void *ctx;
        size_t max_bytes; /* of one section */
        uint64_t number;
        unsigned char *buf;
        size_t cap;
        bool ended;
};
/* Reads the head of the file. 0 | -SW_ERR_DATA (not a snapshot, damaged, another byte order) | -SW_ERR_VERSION (a newer
 * format) | what source returned. */
int sw_section_open(
        struct sw_section_reader *r, sw_section_source source, void *ctx, size_t max_bytes, struct sw_err *reterr);
void sw_section_close(struct sw_section_reader *r); /* NULL-safe, twice is fine */
/* The next section; after "end" nothing may follow. 0 | -SW_ERR_DATA | -SW_ERR_NOMEM | what source returned. Memory
 * grows with what is really there, whatever a length claims. */
int sw_section_next(struct sw_section_reader *r, struct sw_section *ret, struct sw_err *reterr);
