/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_NUM_H
#define KV_BASE_NUM_H

/* Numbers as text. */

#include "kv_types.h"

#define NUM_TEXT_MAX 21 /* "-9223372036854775808" and a NUL */

/* Decimal, the whole slice, as Redis reads integers: an optional '-', no
 * '+', no spaces, no leading zeros ("0" itself is fine).  KV_EINVAL when it
 * is none or does not fit. */
KV_CHECKED int num_parse_i64(struct kv_slice text, int64_t *out);
KV_CHECKED int num_parse_u64(struct kv_slice text, uint64_t *out);

/* A size with an optional k, m, g or t (1024 based, any case). */
KV_CHECKED int num_parse_size(struct kv_slice text, uint64_t *out);

/* A duration in milliseconds with an optional unit ms, s, m, h, d; a bare
 * number is seconds. */
KV_CHECKED int num_parse_ms(struct kv_slice text, uint64_t *out);

/* Decimal text of x at to (room for NUM_TEXT_MAX); returns its length, no
 * NUL is written. */
size_t num_format_u64(char *to, uint64_t x);
size_t num_format_i64(char *to, int64_t x);

#endif
