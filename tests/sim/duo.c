/* SPDX-License-Identifier: ISC */
/* Turns of two nodes. */

#include "duo.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

void
duo_put(struct duo *d, unsigned x, const char *key, size_t n, uint64_t deadline)
{
	char *bytes = arena_take(&d->arena, n);
	struct sim_store *s = &d->store[x];

	memset(bytes, 0, n);
	s->wall_ms = DUO_START_MS + d->now_ms++;
	assert_int_equal(sim_put(s, slice_of("b"), slice_of(key),
			     (struct kv_slice){ bytes, n }, deadline),
	    KV_OK);
}

void
duo_settle(struct duo *d)
{
	unsigned x;

	for (x = 0; x < 2; x++) {
		sim_sync(&d->store[x]);
		sim_checkpoint(&d->store[x], UINT_MAX);
	}
}

bool
duo_is_alike(const struct duo *d)
{
	return sim_digest(&d->store[0].now) == sim_digest(&d->store[1].now);
}

void
duo_begin(struct duo *d)
{
	static const char *const names[] = { "n0@h", "n1@h" };
	struct replica_config config = { .timeout_ms = 10000,
		.value_max = d->value_max };
	unsigned x;

	arena_reset(&d->arena);
	d->now_ms = 1000;
	for (x = 0; x < 2; x++) {
		sim_store_init(&d->store[x], &d->arena, 10 + x);
		sim_store_start(&d->store[x], 100 + x, DUO_START_MS);
		config.uid = 10 + x;
		config.inc = 100 + x;
		config.start = d->store[x].start;
		config.name = names[x];
		config.seed = 1 + x;
		assert_int_equal(replica_new(&config,
				     sim_store_ops(&d->store[x]),
				     &d->replica[x]),
		    KV_OK);
		d->allowed[x] = d->flipped[x] = SIZE_MAX;
	}
}

void
duo_dial(struct duo *d, bool sealed)
{
	struct cable *c = &d->cable;
	unsigned x;

	cable_reset(c);
	c->is_used = true;
	c->is_sealed = sealed;
	for (x = 0; x < 2; x++) {
		c->channel[x] = d->sealed.channel[x];
		c->end[x].node = x;
		c->end[x].is_open = true;
		d->passed[x] = 0;
		assert_int_equal(replica_open(d->replica[x], x == 0,
				     (struct kv_slice){ "", 0 },
				     &c->end[x].link),
		    KV_OK);
	}
}

void
duo_hang_up(struct duo *d)
{
	unsigned x;

	for (x = 0; x < 2; x++)
		replica_close(d->replica[x], d->cable.end[x].link);
}

/* The byte that is another one, if it is in what waits for this end; of what is
 * not sealed, but for a frame's length, which is the simulator's own. */
static void
flip(struct duo *d, unsigned x)
{
	struct pipe *p = &d->cable.pipe[!x];
	size_t at = d->flipped[x] - d->passed[x], have, frame;
	char *bytes = p->bytes.data + p->from;

	have = p->bytes.len - p->from;
	if (d->flipped[x] == SIZE_MAX || at >= have)
		return;
	d->flipped[x] = SIZE_MAX;
	bytes += at;
	while (!d->cable.is_sealed && at > 0) {
		frame = 4 + bytes_get_be32(bytes - at);
		if (at < 4)
			return;
		if (at < frame)
			break;
		at -= frame;
	}
	if (at > 0 || d->cable.is_sealed)
		*bytes ^= (char)(1u << d->bit);
}

/* False: the link is at its end. */
static bool
receive(struct duo *d, unsigned x)
{
	struct cable *c = &d->cable;
	struct channel_frame f;
	int rc = KV_OK;

	flip(d, x);
	while (
	    rc == KV_OK && replica_wants_input(d->replica[x], c->end[x].link)) {
		rc = cable_peek(c, x, d->allowed[x] - d->passed[x], &f);
		if (rc == KV_EMORE ||
		    (rc == KV_OK && f.used > d->allowed[x] - d->passed[x]))
			return true;
		if (rc < 0)
			return false;
		rc = replica_receive(d->replica[x], c->end[x].link, f.plain);
		d->passed[x] += f.used;
		cable_drop(c, x, &f);
	}
	return rc == KV_OK;
}

/* One turn; false: the link is at its end. */
static bool
turn(struct duo *d, unsigned x, bool *moves, uint64_t *next_ms)
{
	struct replica_time now = { d->now_ms, DUO_START_MS + d->now_ms };
	struct cable *c = &d->cable;
	struct replica_event e;
	bool lives;
	int rc;

	d->store[x].wall_ms = now.wall_ms;
	assert_int_equal(replica_begin(d->replica[x], now), KV_OK);
	lives = receive(d, x);
	assert_int_equal(replica_end(d->replica[x], next_ms), KV_OK);
	while ((rc = cable_send(c, x, d->replica[x], d->now_ms)) == KV_OK)
		*moves = true;
	assert_true(rc == KV_EAGAIN || rc == KV_ECLOSED);
	assert_true(replica_held(d->replica[x], c->end[x].link) < d->held_max);
	replica_release(d->replica[x]);
	while (replica_take_event(d->replica[x], &e))
		;
	sim_sync(&d->store[x]);
	sim_checkpoint(&d->store[x], UINT_MAX);
	return lives && rc == KV_EAGAIN;
}

/* Until nothing moves for some seconds, or the link ends. */
bool
duo_talk(struct duo *d, uint64_t ms)
{
	uint64_t end = d->now_ms + ms, next[2], soonest;
	bool moves, lives;
	unsigned n, x;

	for (n = 0; d->now_ms < end; n++) {
		assert_true(n < d->turns_max);
		moves = false;
		for (x = 0; x < 2; x++) {
			lives = turn(d, x, &moves, &next[x]);
			if (!lives)
				return false;
		}
		soonest = next[0] < next[1] ? next[0] : next[1];
		if (!moves)
			d->now_ms =
			    soonest > d->now_ms ? soonest : d->now_ms + 1;
	}
	return true;
}

void
duo_end(struct duo *d)
{
	unsigned x;

	duo_hang_up(d);
	for (x = 0; x < 2; x++)
		replica_free(d->replica[x]);
}
