/* SPDX-License-Identifier: ISC */
/* Places in key order behind the 64-bit cursors of SCAN.
 *
 * A slot is a sequence lock (Boehm 2012, "Can seqlocks get along with
 * programming language memory models?") whose sequence is the cursor itself:
 *
 *	cursor = slot + CONTROL_CURSORS * turn
 *
 * The turn grows whenever the slot is written, so an old cursor never finds a
 * younger place.  It begins with the wall clock's milliseconds, so that
 * neither do cursors from before a restart.  A writer claims the slot by
 * exchanging the token for CURSOR_CLAIMED and its process slot. */

#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"

#define CURSOR_CLAIMED (1ull << 63)

/* What a slot holds, copied word by word: a reader may look while somebody
 * writes, which only atomics allow, however relaxed. */
struct cursor_place {
	uint64_t bid;
	uint32_t phase;
	uint32_t key_len;
	char key[KV_KEY_MAX + 4];
};
static_assert(sizeof(struct cursor_place) % 8 == 0 &&
	offsetof(struct control_cursor, bid) == 8 &&
	offsetof(struct control_cursor, key) ==
	    8 + offsetof(struct cursor_place, key),
    "a place is what lies behind the token");

typedef uint64_t __attribute__((may_alias)) cursor_word;

static size_t
cursor_words(size_t key_len)
{
	return (offsetof(struct cursor_place, key) + key_len + 7) / 8;
}

static void
cursor_put(struct control_cursor *c, const struct cursor_place *from)
{
	cursor_word *to = (cursor_word *)(void *)&c->bid;
	const cursor_word *word = (const void *)from;
	size_t i;

	for (i = 0; i < cursor_words(from->key_len); i++)
		__atomic_store_n(&to[i], word[i], __ATOMIC_RELAXED);
}

static void
cursor_get(const struct control_cursor *c, struct cursor_place *to, size_t from,
    size_t words)
{
	const cursor_word *word = (const void *)&c->bid;
	size_t i;

	for (i = from; i < words; i++) {
		uint64_t one = __atomic_load_n(&word[i], __ATOMIC_RELAXED);

		memcpy((char *)to + i * sizeof(one), &one, sizeof(one));
	}
}

/* Claim the slot.  One that another process has claimed is being written, or
 * its writer died: it is left alone.  A claim of our own process slot was
 * left by a dead predecessor in it. */
static bool
cursor_claim(struct engine *e, struct control_cursor *c, uint64_t token)
{
	if (token & CURSOR_CLAIMED && token != (CURSOR_CLAIMED | e->slot))
		return false;
	return atomic_compare_exchange_strong_explicit(&c->token, &token,
	    CURSOR_CLAIMED | e->slot, memory_order_acquire,
	    memory_order_relaxed);
}

/* Fill a slot that is ours and let it go under its next cursor. */
static uint64_t
cursor_write(struct control *c, uint64_t slot, uint64_t old,
    const struct cursor_place *place)
{
	struct control_cursor *cursor = &c->cursors[slot];
	uint64_t turn = old / CONTROL_CURSORS + 1;
	uint64_t token;

	if (old == 0 || old & CURSOR_CLAIMED)
		turn = clock_wall_ms();
	token = slot + CONTROL_CURSORS * turn;
	/* A reader that sees any of these bytes sees the claim in its second
	 * look at the token. */
	atomic_thread_fence(memory_order_release);
	cursor_put(cursor, place);
	/* Pairs with the first load of engine_cursor_load. */
	atomic_store_explicit(&cursor->token, token, memory_order_release);
	return token;
}

uint64_t
engine_cursor_save(struct engine *e, uint64_t cursor, uint64_t bid,
    uint32_t phase, struct kv_slice key)
{
	struct control *c = e->control;
	uint64_t slot = cursor % CONTROL_CURSORS, token = cursor;
	struct cursor_place place = { .bid = bid, .phase = phase };
	unsigned tries;

	place.key_len =
	    (uint32_t)(key.len < sizeof(place.key) ? key.len
						   : sizeof(place.key));
	if (key.len > 0)
		memcpy(place.key, key.data, place.key_len);
	/* The scan that goes on keeps its slot, unless it was given up. */
	if (cursor != 0 && !(cursor & CURSOR_CLAIMED) &&
	    cursor_claim(e, &c->cursors[slot], cursor))
		return cursor_write(c, slot, cursor, &place);
	for (tries = 0; tries < CONTROL_CURSORS; tries++) {
		slot = atomic_fetch_add(&c->cursor_next, 1) % CONTROL_CURSORS;
		token = atomic_load_explicit(&c->cursors[slot].token,
		    memory_order_relaxed);
		if (cursor_claim(e, &c->cursors[slot], token))
			return cursor_write(c, slot, token, &place);
	}
	/* Every slot is being written: a cursor that is given up already. */
	return slot + CONTROL_CURSORS;
}

int
engine_cursor_load(struct engine *e, uint64_t cursor, uint64_t bid,
    uint32_t *phase, char key[KV_KEY_MAX + 4], size_t *len)
{
	const struct control_cursor *c =
	    &e->control->cursors[cursor % CONTROL_CURSORS];
	struct cursor_place place;

	if (cursor == 0 || cursor & CURSOR_CLAIMED ||
	    atomic_load_explicit(&c->token, memory_order_acquire) != cursor)
		return KV_ENOTFOUND;
	cursor_get(c, &place, 0, cursor_words(0));
	if (place.key_len > sizeof(place.key))
		return KV_ENOTFOUND;
	cursor_get(c, &place, cursor_words(0), cursor_words(place.key_len));
	/* Pairs with the fence of cursor_write. */
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&c->token, memory_order_relaxed) != cursor ||
	    place.bid != bid)
		return KV_ENOTFOUND;
	*phase = place.phase;
	*len = place.key_len;
	memcpy(key, place.key, place.key_len);
	return KV_OK;
}
