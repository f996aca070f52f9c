/* SPDX-License-Identifier: ISC */
/* Finding a command by its name. */

#include "proto/command.h"

/* A name folded to lower case, as three words that between them hold all its
 * bytes (they overlap when it is shorter than 24). */
struct folded {
	uint64_t head;
	uint64_t middle;
	uint64_t tail;
};

static inline uint64_t
load(const char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline uint64_t
load_half(const char *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

/* Set bit 5 in each byte that is A..Z, eight at once: adding carries into a
 * byte's top bit from 'A' on, and from behind 'Z' on. */
static inline uint64_t
fold(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t low = x & (ones * 0x7f);
	uint64_t from_a = low + ones * (0x80 - 'A');
	uint64_t past_z = low + ones * (0x7f - 'Z');
	uint64_t upper = from_a & ~past_z & ~x & (ones * 0x80);

	return x | upper >> 2;
}

static inline struct folded
fold_name(struct kv_slice name)
{
	const char *p = name.data;
	size_t n = name.len;
	struct folded f = { 0, 0, 0 };

	if (n >= 8) {
		f.head = fold(load(p));
		f.tail = fold(load(p + n - 8));
		if (n > 16)
			f.middle = fold(load(p + 8));
	} else if (n >= 4) {
		f.head = fold(load_half(p) | load_half(p + n - 4) << 32);
	} else if (n > 0) {
		f.head = fold((uint64_t)(unsigned char)p[0] |
		    (uint64_t)(unsigned char)p[n / 2] << 8 |
		    (uint64_t)(unsigned char)p[n - 1] << 16);
	}
	return f;
}

static inline size_t
slot_of(const struct folded *f, size_t len)
{
	uint64_t x = f->head * 0x9e3779b97f4a7c15u;

	x ^= (f->tail ^ f->middle << 1) * 0xc2b2ae3d27d4eb4fu;
	x = (x ^ len) * 0x165667b19e3779f9u;
	return (size_t)(x >> 32) % COMMAND_SLOTS;
}

static const struct command_info *
row(const struct command_table *t, size_t i)
{
	return (const void *)(t->rows + i * t->stride);
}

static bool
is_good_name(const char *name)
{
	size_t n = 0;

	for (; name[n] != '\0'; n++)
		if (name[n] >= 'A' && name[n] <= 'Z')
			return false;
	return n > 0 && n <= COMMAND_NAME_MAX;
}

/* The slot of name, or the free one where it would stand. */
static size_t
probe(const struct command_table *t, const struct folded *f, size_t len)
{
	size_t i = slot_of(f, len);
	const struct command_slot *s;

	for (;; i = (i + 1) % COMMAND_SLOTS) {
		s = &t->slots[i];
		if (s->len == 0 ||
		    (s->head == f->head && s->tail == f->tail &&
			s->middle == f->middle && s->len == len))
			return i;
	}
}

int
command_table_init(struct command_table *t, const void *rows, size_t count,
    size_t stride)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	t->rows = rows;
	t->count = count;
	t->stride = stride;
	if (count > COMMAND_ROWS_MAX)
		return KV_EINVAL;
	for (i = 0; i < count; i++) {
		struct kv_slice name = slice_of(row(t, i)->name);
		struct folded f = fold_name(name);
		struct command_slot *s;

		if (!is_good_name(name.data))
			return KV_EINVAL;
		s = &t->slots[probe(t, &f, name.len)];
		if (s->len > 0)
			return KV_EINVAL;
		*s = (struct command_slot){ f.head, f.middle, f.tail,
			(uint32_t)name.len, (uint32_t)i };
	}
	return KV_OK;
}

const struct command_info *
command_find(const struct command_table *t, struct kv_slice name)
{
	const struct command_slot *s;
	struct folded f;

	if (name.len == 0 || name.len > COMMAND_NAME_MAX)
		return NULL;
	f = fold_name(name);
	s = &t->slots[probe(t, &f, name.len)];
	return s->len == 0 ? NULL : row(t, s->row);
}

struct command_keys
command_keys(const struct command_info *c, size_t argc)
{
	struct command_keys k = { 0, 1, 0 };
	size_t first = (size_t)c->first_key;
	size_t last;

	if (c->first_key <= 0 || c->key_step <= 0 || first >= argc)
		return k;
	if (c->last_key >= 0)
		last = (size_t)c->last_key;
	else if ((size_t)-c->last_key <= argc)
		last = argc - (size_t)-c->last_key;
	else
		return k;
	if (last >= argc)
		last = argc - 1;
	if (last < first)
		return k;
	k.first = first;
	k.step = (size_t)c->key_step;
	k.count = (last - first) / k.step + 1;
	return k;
}

const char *
command_flag_name(enum command_flag flag)
{
	switch (flag) {
#define X(name, bit, text)                                                     \
	case COMMAND_##name:                                                   \
		return text;
		COMMAND_FLAGS(X)
#undef X
	}
	return NULL;
}

const char *
command_group_name(enum command_group group)
{
	static const char *const names[] = {
#define X(name, text) [COMMAND_GROUP_##name] = text,
		COMMAND_GROUPS(X)
#undef X
	};

	return (size_t)group < sizeof(names) / sizeof(*names) ? names[group]
							      : NULL;
}
