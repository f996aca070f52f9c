/* SPDX-License-Identifier: ISC */
/* Integers, sizes and durations to and from text. */

#include "base/num.h"

#include <string.h>

#include "base/buf.h"

int
num_parse_u64(struct kv_slice text, uint64_t *out)
{
	uint64_t x = 0;
	size_t i;

	if (text.len == 0 || text.len > 20)
		return KV_EINVAL;
	if (text.data[0] == '0' && text.len > 1)
		return KV_EINVAL;
	for (i = 0; i < text.len; i++) {
		unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';

		if (digit > 9 || x > (UINT64_MAX - digit) / 10)
			return KV_EINVAL;
		x = x * 10 + digit;
	}
	*out = x;
	return KV_OK;
}

int
num_parse_i64(struct kv_slice text, int64_t *out)
{
	int negative = text.len > 0 && text.data[0] == '-';
	uint64_t x, limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
	int rc;

	if (negative) {
		text.data++;
		text.len--;
		if (text.len > 0 && text.data[0] == '0')
			return KV_EINVAL; /* "-0" is no integer to Redis */
	}
	if ((rc = num_parse_u64(text, &x)) < 0)
		return rc;
	if (x > limit)
		return KV_EINVAL;
	*out = negative ? (int64_t)(0 - x) : (int64_t)x;
	return KV_OK;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int
num_parse_unit(struct kv_slice text, const struct unit *units, uint64_t *out)
{
	size_t digits = 0;
	uint64_t x;
	int rc;

	while (digits < text.len && text.data[digits] >= '0' &&
	    text.data[digits] <= '9')
		digits++;
	rc = num_parse_u64((struct kv_slice){ text.data, digits }, &x);
	if (rc < 0)
		return rc;
	text.data += digits;
	text.len -= digits;
	for (; units->name != NULL; units++) {
		if (!slice_is_word(text, units->name))
			continue;
		if (x > UINT64_MAX / units->factor)
			return KV_EINVAL;
		*out = x * units->factor;
		return KV_OK;
	}
	return KV_EINVAL;
}

int
num_parse_size(struct kv_slice text, uint64_t *out)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "k", 1ull << 10 },
		{ "m", 1ull << 20 },
		{ "g", 1ull << 30 },
		{ "t", 1ull << 40 },
		{ NULL, 0 },
	};

	return num_parse_unit(text, units, out);
}

int
num_parse_ms(struct kv_slice text, uint64_t *out)
{
	static const struct unit units[] = {
		{ "", 1000 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60000 },
		{ "h", 3600000 },
		{ "d", 86400000 },
		{ NULL, 0 },
	};

	return num_parse_unit(text, units, out);
}

size_t
num_format_u64(char *to, uint64_t x)
{
	char text[NUM_TEXT_MAX];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + x % 10);
		x /= 10;
	} while (x > 0);
	memcpy(to, text + at, sizeof(text) - at);
	return sizeof(text) - at;
}

size_t
num_format_i64(char *to, int64_t x)
{
	if (x >= 0)
		return num_format_u64(to, (uint64_t)x);
	*to = '-';
	return num_format_u64(to + 1, 0 - (uint64_t)x) + 1;
}
