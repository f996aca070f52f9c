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
cursor_write(struct control *c, uint64_t slot, uint64_t old, uint64_t bid,
    uint32_t phase, struct kv_slice key)
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
	cursor->bid = bid;
	cursor->phase = phase;
	cursor->key_len = (uint32_t)key.len;
	if (key.len > 0)
		memcpy(cursor->key, key.data, key.len);
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
	unsigned tries;

	if (key.len > sizeof(c->cursors[0].key))
		key.len = sizeof(c->cursors[0].key);
	/* The scan that goes on keeps its slot, unless it was given up. */
	if (cursor != 0 && !(cursor & CURSOR_CLAIMED) &&
	    cursor_claim(e, &c->cursors[slot], cursor))
		return cursor_write(c, slot, cursor, bid, phase, key);
	for (tries = 0; tries < CONTROL_CURSORS; tries++) {
		slot = atomic_fetch_add(&c->cursor_next, 1) % CONTROL_CURSORS;
		token = atomic_load_explicit(&c->cursors[slot].token,
		    memory_order_relaxed);
		if (cursor_claim(e, &c->cursors[slot], token))
			return cursor_write(c, slot, token, bid, phase, key);
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
	uint32_t found_phase, found_len;
	uint64_t found_bid;

	if (cursor == 0 || cursor & CURSOR_CLAIMED ||
	    atomic_load_explicit(&c->token, memory_order_acquire) != cursor)
		return KV_ENOTFOUND;
	found_bid = c->bid;
	found_phase = c->phase;
	found_len = c->key_len;
	if (found_len > sizeof(c->key))
		return KV_ENOTFOUND;
	memcpy(key, c->key, found_len);
	/* Pairs with the fence of cursor_write. */
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&c->token, memory_order_relaxed) != cursor ||
	    found_bid != bid)
		return KV_ENOTFOUND;
	*phase = found_phase;
	*len = found_len;
	return KV_OK;
}
