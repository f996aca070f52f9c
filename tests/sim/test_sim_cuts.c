/* SPDX-License-Identifier: ISC */
/* One conversation of two nodes, cut at every byte, and every byte of it
 * altered: sealed, where the link ends and the next one makes good; and in
 * plaintext, as if the seal were no good, where nodes have to survive. */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "cable.h"
#include "store.h"

#define START_MS 10000000u
#define TURNS 2000
#define HELD_MAX (8u << 20)

struct duo {
	struct arena arena;
	struct sim_store store[2];
	struct replica *replica[2];
	struct cable cable;
	struct cable sealed; /* its channels, as they are at the beginning */
	uint64_t now_ms;
	size_t allowed[2], passed[2]; /* bytes on their way to that end */
	size_t flipped[2];	      /* this one is another on its way there */
	unsigned bit;
};

static void
put(struct duo *d, unsigned x, const char *key, size_t n, uint64_t deadline)
{
	static const char bytes[2000];
	struct sim_store *s = &d->store[x];

	s->wall_ms = START_MS + d->now_ms++;
	assert_int_equal(sim_put(s, slice_of("b"), slice_of(key),
			     (struct kv_slice){ bytes, n }, deadline),
	    KV_OK);
}

static void
fill(struct duo *d)
{
	unsigned x;

	for (x = 0; x < 2; x++)
		assert_int_equal(sim_create(&d->store[x], slice_of("b"), 0),
		    KV_OK);
	put(d, 0, "one", 3, 0);
	put(d, 0, "two", 600, 0);
	put(d, 1, "two", 5, 0);
	put(d, 1, "three", 0, 0);
	put(d, 1, "four", 200, START_MS + 3600000);
	put(d, 0, "gone", 1, 0);
	assert_int_equal(sim_del(&d->store[0], slice_of("b"), slice_of("gone")),
	    KV_OK);
	for (x = 0; x < 2; x++) {
		sim_sync(&d->store[x]);
		sim_checkpoint(&d->store[x], UINT_MAX);
	}
}

static void
begin(struct duo *d)
{
	static const char *const names[] = { "n0@h", "n1@h" };
	struct replica_config config = { .timeout_ms = 10000,
		.value_max = 1u << 20 };
	unsigned x;

	arena_reset(&d->arena);
	d->now_ms = 1000;
	for (x = 0; x < 2; x++) {
		sim_store_init(&d->store[x], &d->arena, 10 + x);
		sim_store_start(&d->store[x], 100 + x, START_MS);
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
	fill(d);
}

static void
dial(struct duo *d, bool sealed)
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

static void
hang_up(struct duo *d)
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
		if (rc == KV_EMORE)
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
	struct replica_time now = { d->now_ms, START_MS + d->now_ms };
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
	assert_true(replica_held(d->replica[x], c->end[x].link) < HELD_MAX);
	replica_release(d->replica[x]);
	while (replica_take_event(d->replica[x], &e))
		;
	sim_sync(&d->store[x]);
	sim_checkpoint(&d->store[x], UINT_MAX);
	return lives && rc == KV_EAGAIN;
}

/* Until nothing moves for some seconds, or the link ends. */
static bool
talk(struct duo *d, uint64_t ms)
{
	uint64_t end = d->now_ms + ms, next[2], soonest;
	bool moves, lives;
	unsigned n, x;

	for (n = 0; d->now_ms < end; n++) {
		assert_true(n < TURNS);
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

static void
finish(struct duo *d)
{
	unsigned x;

	hang_up(d);
	for (x = 0; x < 2; x++)
		replica_free(d->replica[x]);
}

/* Whatever became of the first link, the next one makes good. */
static void
are_alike_after(struct duo *d)
{
	hang_up(d);
	d->allowed[0] = d->allowed[1] = SIZE_MAX;
	d->flipped[0] = d->flipped[1] = SIZE_MAX;
	dial(d, false);
	assert_true(talk(d, 2000));
	assert_true(
	    sim_digest(&d->store[0].now) == sim_digest(&d->store[1].now));
	assert_non_null(sim_find(&d->store[1].now, sim_bucket_id(slice_of("b")),
	    slice_of("one")));
	assert_non_null(sim_find(&d->store[0].now, sim_bucket_id(slice_of("b")),
	    slice_of("four")));
}

/* Bytes that go each way when nothing happens. */
static void
measure(struct duo *d, bool sealed, size_t n[2])
{
	begin(d);
	dial(d, sealed);
	assert_true(talk(d, 1000));
	assert_true(
	    sim_digest(&d->store[0].now) == sim_digest(&d->store[1].now));
	n[0] = d->passed[0];
	n[1] = d->passed[1];
	finish(d);
}

static int
setup(void **state)
{
	static struct duo d;

	cable_seal(&d.sealed, 0);
	*state = &d;
	return 0;
}

static int
teardown(void **state)
{
	struct duo *d = *state;

	cable_fini(&d->cable);
	cable_fini(&d->sealed);
	arena_fini(&d->arena);
	return 0;
}

static void
a_link_that_is_cut_at_any_byte_loses_nothing(void **state)
{
	struct duo *d = *state;
	size_t n[2], at;
	unsigned x;

	measure(d, true, n);
	for (x = 0; x < 2; x++) {
		assert_true(n[x] > 500);
		for (at = 0; at < n[x]; at++) {
			begin(d);
			dial(d, true);
			d->allowed[x] = at;
			(void)talk(d, 200);
			assert_true(d->passed[x] <= at);
			are_alike_after(d);
			finish(d);
		}
	}
}

static void
a_link_of_which_any_byte_is_altered_ends_and_loses_nothing(void **state)
{
	struct duo *d = *state;
	size_t n[2], at;
	unsigned x;

	measure(d, true, n);
	for (x = 0; x < 2; x++) {
		for (at = 0; at < n[x]; at++) {
			begin(d);
			dial(d, true);
			d->flipped[x] = at;
			d->bit = (unsigned)at % 8;
			/* A length that became larger waits for more. */
			(void)talk(d, 1500);
			assert_true(d->flipped[x] == SIZE_MAX);
			assert_true(d->passed[x] <= at);
			are_alike_after(d);
			finish(d);
		}
	}
}

/* What it makes of altered data may be wrong, but it lives, in its bounds, and
 * talks to who comes next. */
static void
a_node_survives_any_altered_byte_within_a_frame(void **state)
{
	struct duo *d = *state;
	size_t n[2], at;
	unsigned x, bit;

	measure(d, false, n);
	for (x = 0; x < 2; x++) {
		for (at = 4; at < n[x]; at++) {
			for (bit = 0; bit < 8; bit++) {
				begin(d);
				dial(d, false);
				d->flipped[x] = at;
				d->bit = bit;
				(void)talk(d, 1500);
				hang_up(d);
				dial(d, false);
				(void)talk(d, 300);
				finish(d);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_that_is_cut_at_any_byte_loses_nothing),
		cmocka_unit_test(
		    a_link_of_which_any_byte_is_altered_ends_and_loses_nothing),
		cmocka_unit_test(
		    a_node_survives_any_altered_byte_within_a_frame),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
