/* SPDX-License-Identifier: ISC */
/* What is published reaches all nodes, in order and at most once, whatever its
 * size; what slow links cost is bounded, and counted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "services_rig.h"

static uint64_t
publish(struct rig *r, unsigned n, const char *text)
{
	static uint64_t tick = 50;
	struct frame_message m = { .inc = r->nodes[n].inc,
		.tick = ++tick,
		.channel = slice_of("news"),
		.payload = slice_of(text) };

	assert_int_equal(services_publish(r->nodes[n].services, &m), KV_OK);
	return tick;
}

static void
a_message_crosses_a_line_of_nodes_once(void **state)
{
	struct rig *r = *state;

	rig_link(r, 0, 1);
	rig_link(r, 1, 2);
	publish(r, 0, "one");
	publish(r, 0, "two");
	rig_run(r);
	rig_told(r, 0, "");
	rig_told(r, 1, "news: one\nnews: two\n");
	rig_told(r, 2, "news: one\nnews: two\n");
	assert_int_equal(r->nodes[0].frames[FRAME_MESSAGE], 0);
	assert_int_equal(r->nodes[1].frames[FRAME_MESSAGE], 2);
}

static void
in_a_mesh_everybody_gets_it_once(void **state)
{
	struct rig *r = *state;
	int i;

	rig_link(r, 0, 1);
	rig_link(r, 1, 2);
	rig_link(r, 2, 0);
	for (i = 0; i < 3; i++) {
		publish(r, (unsigned)i, "hello");
		rig_run(r);
	}
	rig_told(r, 0, "news: hello\nnews: hello\n");
	rig_told(r, 1, "news: hello\nnews: hello\n");
	rig_told(r, 2, "news: hello\nnews: hello\n");
}

static void
messages_from_before_a_link_are_not_told_on_it(void **state)
{
	struct rig *r = *state;

	publish(r, 0, "to nobody");
	rig_link(r, 0, 1);
	publish(r, 0, "first");
	rig_link(r, 0, 2);
	publish(r, 0, "second");
	rig_run(r);
	rig_told(r, 1, "news: first\nnews: second\n");
	rig_told(r, 2, "news: second\n");
}

static void
a_link_that_is_too_slow_misses_the_oldest(void **state)
{
	static char large[60000];
	struct rig *r = *state;
	struct frame_message m = { .inc = r->nodes[0].inc,
		.channel = slice_of("bulk"),
		.payload = { large, sizeof(large) } };
	const unsigned fit = SERVICES_MESSAGE_BYTES / 60023;
	unsigned i;

	rig_link(r, 0, 1);
	for (i = 1; i <= 1000; i++) {
		m.tick = i;
		assert_int_equal(services_publish(r->nodes[0].services, &m),
		    KV_OK);
	}
	rig_run(r);
	assert_int_equal(r->nodes[1].frames[FRAME_MESSAGE], fit);
	assert_int_equal(services_messages_lost(r->nodes[0].services),
	    1000 - fit);
	/* Small ones are bounded by their number. */
	m.payload.len = 0;
	for (i = 1; i <= 20000; i++) {
		m.tick = 1000 + i;
		assert_int_equal(services_publish(r->nodes[0].services, &m),
		    KV_OK);
	}
	rig_run(r);
	assert_int_equal(r->nodes[1].frames[FRAME_MESSAGE],
	    fit + SERVICES_MESSAGES);
	r->nodes[1].told.len = 0;
}

/* Bytes that differ everywhere. */
#define BULK 1000000
static char bulk[BULK];

static struct frame_message
bulky(struct rig *r, uint64_t tick, size_t size)
{
	size_t i;

	for (i = 0; bulk[0] == '\0' && i < sizeof(bulk); i++)
		bulk[i] = (char)(1 + (i * 2654435761u >> 13) % 251);
	return (struct frame_message){ .inc = r->nodes[0].inc,
		.tick = tick,
		.channel = slice_of("bulk"),
		.payload = { bulk, size } };
}

static void
messages_of_any_size_cross_a_line_of_nodes_in_order(void **state)
{
	const size_t frame = FRAME_MAX - FRAME_MESSAGE_HEAD - strlen("bulk"),
		     part = FRAME_MAX - FRAME_PART_HEAD,
		     sizes[] = { frame - 1, frame, frame + 1, part * 3 - 4,
			     part * 3 - 3, BULK };
	struct rig *r = *state;
	struct frame_message m;
	unsigned parts = 0;
	size_t i, sum = 0;

	rig_link(r, 0, 1);
	rig_link(r, 1, 2);
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		m = bulky(r, 10 * i + 1, sizes[i]);
		assert_int_equal(services_publish(r->nodes[0].services, &m),
		    KV_OK);
		rig_run(r);
		sum += sizes[i];
		assert_int_equal(r->nodes[1].message_hash,
		    hash_bytes(bulk, sizes[i], 0));
		assert_int_equal(r->nodes[2].message_hash,
		    hash_bytes(bulk, sizes[i], 0));
		parts += i < 2 ? 0 : i == 2 ? 2 : i == 3 ? 3 : i == 4 ? 4 : 16;
		assert_int_equal(r->nodes[2].frames[FRAME_PART], parts);
	}
	assert_int_equal(r->nodes[1].message_bytes, sum);
	assert_int_equal(r->nodes[2].message_bytes, sum);
	assert_int_equal(r->nodes[0].frames[FRAME_PART], 0);
	/* Large ones keep no small one from coming behind them. */
	m = bulky(r, 100, BULK);
	assert_int_equal(services_publish(r->nodes[0].services, &m), KV_OK);
	m = bulky(r, 101, 0);
	m.payload = slice_of("small");
	assert_int_equal(services_publish(r->nodes[0].services, &m), KV_OK);
	r->nodes[1].told.len = 0;
	rig_run(r);
	rig_told(r, 1, "bulk: \nbulk: small\n");
}

static void
in_a_mesh_a_large_message_is_told_once(void **state)
{
	struct rig *r = *state;
	struct frame_message m = bulky(r, 1, BULK);

	rig_link(r, 0, 1);
	rig_link(r, 1, 2);
	rig_link(r, 2, 0);
	assert_int_equal(services_publish(r->nodes[0].services, &m), KV_OK);
	rig_run(r);
	assert_int_equal(r->nodes[1].message_bytes, BULK);
	assert_int_equal(r->nodes[2].message_bytes, BULK);
	assert_int_equal(r->nodes[0].message_bytes, 0);
}

static void
a_large_message_that_a_slow_link_lost_is_forgotten_and_counted(void **state)
{
	struct rig *r = *state;
	struct frame_message m = bulky(r, 1, BULK);
	unsigned i;

	rig_link(r, 0, 1);
	assert_int_equal(services_publish(r->nodes[0].services, &m), KV_OK);
	rig_send(r, 0, 1, FRAME_PART, 3); /* some of it is on its way */
	assert_true(services_wants_messages(r->nodes[0].services));
	for (i = 2; i <= 6; i++) {
		m = bulky(r, i, BULK);
		assert_int_equal(services_publish(r->nodes[0].services, &m),
		    KV_OK);
	}
	assert_false(services_wants_messages(r->nodes[0].services));
	rig_run(r);
	assert_true(services_wants_messages(r->nodes[0].services));
	assert_int_equal(services_messages_lost(r->nodes[0].services), 2);
	assert_int_equal(r->nodes[1].message_bytes, 4 * BULK);
	assert_int_equal(r->nodes[1].message_hash, hash_bytes(bulk, BULK, 0));
}

/* What a peer may do, and what it costs. */
static struct frame
part(uint64_t tick, uint32_t size, uint32_t at, const char *channel,
    size_t bytes)
{
	return (struct frame){ .type = FRAME_PART,
		.u.part = { 7777, tick, size, at, slice_of(channel),
		    { bulk, bytes } } };
}

static void
parts_that_cannot_be_end_the_link_and_odd_ones_tell_nothing(void **state)
{
	const struct frame wrong[] = {
		part(1, 100, 0, "", 10),    /* begins without a channel */
		part(1, 100, 50, "ch", 10), /* a channel in the middle */
		part(1, 100, 95, "", 10),   /* past its end */
		part(1, 100, 200, "", 10),
		part(1, 9, 0, "ch", 10),
	};
	const struct frame odd[] = {
		part(1, 100, 50, "", 50), /* no beginning */
		part(2, 100, 0, "ch", 10),
		part(2, 100, 20, "", 80), /* a gap */
		part(2, 101, 10, "", 91), /* another size */
		part(3, 100, 10, "", 90), /* of another one */
		part(4, 100, 0, "ch", 10),
		part(5, 100, 0, "ch", 10), /* two that never end */
		part(6, RIG_VALUE_MAX + 1, 0, "ch", 10), /* too large for us */
		part(6, RIG_VALUE_MAX + 1, 10, "", 10),
	};
	struct rig *r = *state;
	struct frame f;
	size_t i;

	rig_link(r, 0, 1);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(rig_push(r, 1, 0, &wrong[i]), KV_EPROTO);
	for (i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		assert_int_equal(rig_push(r, 1, 0, &odd[i]), KV_OK);
	rig_told(r, 0, "");
	assert_int_equal(services_messages_lost(r->nodes[0].services), 1);
	/* And then it goes on as if nothing had been. */
	f = part(7, 20, 0, "ch", 10);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	f = part(7, 20, 10, "", 10);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	assert_int_equal(r->nodes[0].message_bytes, 20);
}

static void
what_links_together_may_begin_is_bounded(void **state)
{
	struct rig *r = *state;
	struct frame f;
	unsigned i;

	for (i = 1; i < 4; i++)
		rig_link(r, 0, i);
	for (i = 0; i < 3; i++) {
		f = part(10, RIG_VALUE_MAX, 0, "ch", 10);
		f.u.part.inc += i;
		assert_int_equal(rig_push(r, 1 + i, 0, &f), KV_OK);
	}
	assert_int_equal(services_messages_lost(r->nodes[0].services), 1);
	/* A link that goes gives its room back. */
	rig_unlink(r, 0, 1);
	assert_int_equal(rig_push(r, 3, 0, &f), KV_OK);
	assert_int_equal(services_messages_lost(r->nodes[0].services), 1);
}

/* b brings a large one slowly; c, too, or lost it; what was published behind it
 * comes round by c meanwhile. */
static void
what_was_published_behind_a_large_one_does_not_overtake_it(void **state)
{
	struct rig *r = *state;
	struct frame small = { .type = FRAME_MESSAGE,
		.u.message = { 7777, 11, slice_of("ch"), slice_of("small") } };
	struct frame f;

	rig_link(r, 0, 1);
	rig_link(r, 0, 2);
	f = part(10, 200, 0, "ch", 100);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	assert_int_equal(rig_push(r, 2, 0, &small), KV_OK);
	rig_told(r, 0, "");
	f = part(10, 200, 100, "", 100);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	assert_int_equal(rig_push(r, 1, 0, &small), KV_OK);
	rig_told(r, 0, "ch: \nch: small\n");
	/* c is faster: what b had of it goes. */
	small.u.message.tick = 21;
	f = part(20, 200, 0, "ch", 100);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	assert_int_equal(rig_push(r, 2, 0, &f), KV_OK);
	f = part(20, 200, 100, "", 100);
	assert_int_equal(rig_push(r, 2, 0, &f), KV_OK);
	assert_int_equal(rig_push(r, 2, 0, &small), KV_OK);
	rig_told(r, 0, "ch: \nch: small\n");
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	assert_int_equal(rig_push(r, 1, 0, &small), KV_OK);
	rig_told(r, 0, "");
	/* b had to drop one: what it says next ends the wait for it. */
	f = part(30, 200, 0, "ch", 100);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	small.u.message.tick = 31;
	assert_int_equal(rig_push(r, 1, 0, &small), KV_OK);
	rig_told(r, 0, "ch: small\n");
}

/* Told by c, while b has something unended of the same run. */
static void
small_by_c(struct rig *r, uint64_t tick, const char *told)
{
	struct frame f = { .type = FRAME_MESSAGE,
		.u.message = { 7777, tick, slice_of("ch"),
		    slice_of("small") } };

	assert_int_equal(rig_push(r, 2, 0, &f), KV_OK);
	rig_told(r, 0, told);
}

static void
push_part(struct rig *r, uint64_t tick, uint32_t at, size_t bytes)
{
	struct frame f = part(tick, 200, at, at == 0 ? "ch" : "", bytes);

	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
}

/* b, which lives and goes on with everything else. */
static void
a_large_one_that_never_ends_silences_its_run_for_a_while_only(void **state)
{
	struct rig *r = *state;
	uint32_t at;

	rig_link(r, 0, 1);
	rig_link(r, 0, 2);
	rig_run(r);
	push_part(r, 10, 0, 100);
	r->now_ms += SERVICES_PART_MS - 1;
	rig_run(r);
	small_by_c(r, 11, "");
	push_part(r, 10, 100, 0); /* nothing is not going on */
	r->now_ms++;
	rig_run(r);
	assert_int_equal(services_messages_lost(r->nodes[0].services), 1);
	small_by_c(r, 12, "ch: small\n");
	/* Who did so once is waited for no more, and goes on in its time. */
	push_part(r, 20, 0, 100);
	small_by_c(r, 19, "ch: small\n");
	push_part(r, 20, 100, 100);
	rig_told(r, 0, "ch: \n");
	/* And until it has ended one. */
	push_part(r, 30, 0, 1);
	small_by_c(r, 31, "");
	for (at = 1; at < SERVICES_PARTS_MS / SERVICES_PART_MS; at++) {
		r->now_ms += SERVICES_PART_MS - 1;
		rig_run(r);
		push_part(r, 30, at, 1);
	}
	small_by_c(r, 32, "");
	r->now_ms += SERVICES_PART_MS - 1;
	rig_run(r);
	assert_int_equal(services_messages_lost(r->nodes[0].services), 1);
	r->now_ms += SERVICES_PARTS_MS / SERVICES_PART_MS;
	rig_run(r);
	assert_int_equal(services_messages_lost(r->nodes[0].services), 2);
	small_by_c(r, 33, "ch: small\n");
	assert_true(r->linked[1][0]);
}

static void
a_stamp_of_the_future_silences_no_run(void **state)
{
	struct rig *r = *state;
	struct frame f = { .type = FRAME_MESSAGE,
		.u.message = { 7777, UINT64_MAX, slice_of("ch"),
		    slice_of("never") } };

	rig_link(r, 0, 1);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	rig_told(r, 0, "");
	assert_int_equal(services_messages_lost(r->nodes[0].services), 1);
	f.u.message.tick = (r->now_ms + 1000) << 16;
	f.u.message.payload = slice_of("a little fast");
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	rig_told(r, 0, "ch: a little fast\n");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_alone, rig_done)
	const struct CMUnitTest tests[] = {
		TEST(a_message_crosses_a_line_of_nodes_once),
		TEST(in_a_mesh_everybody_gets_it_once),
		TEST(messages_from_before_a_link_are_not_told_on_it),
		TEST(a_link_that_is_too_slow_misses_the_oldest),
		TEST(messages_of_any_size_cross_a_line_of_nodes_in_order),
		TEST(in_a_mesh_a_large_message_is_told_once),
		TEST(
		    a_large_message_that_a_slow_link_lost_is_forgotten_and_counted),
		TEST(
		    parts_that_cannot_be_end_the_link_and_odd_ones_tell_nothing),
		TEST(what_links_together_may_begin_is_bounded),
		TEST(
		    what_was_published_behind_a_large_one_does_not_overtake_it),
		TEST(
		    a_large_one_that_never_ends_silences_its_run_for_a_while_only),
		TEST(a_stamp_of_the_future_silences_no_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
