/* SPDX-License-Identifier: ISC */
/* Commands that run elsewhere: at most once, always with an end, and with
 * bounds that hold whatever the peer does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "services_rig.h"
#include "sync/items.h"

#define ARGS_FULL ITEM_ARGS_BYTES

static int
ask(struct rig *r, unsigned n, const char *node, const char *word, size_t len)
{
	struct kv_slice argv[] = { { "2", 1 }, { word, len } };
	struct services_request q = { node, argv, 2, 5000 };

	return services_ask(r->nodes[n].services, &q, r->now_ms,
	    &r->nodes[n].ask);
}

static void
a_call_runs_at_the_named_node_and_its_answer_comes_back(void **state)
{
	struct rig *r = *state;

	assert_int_equal(ask(r, 0, "b", "PING", 4), KV_OK);
	rig_run(r);
	rig_told(r, 1, "run a@host 2 PING in 5000\n");
	rig_told(r, 0, "answer 2PING\nend ok\n");
	assert_int_equal(ask(r, 1, "a@host", "GET", 3), KV_OK);
	rig_run(r);
	rig_told(r, 0, "run b@host 2 GET in 5000\n");
	rig_told(r, 1, "answer 2GET\nend ok\n");
}

static void
a_node_that_is_not_linked_is_not_asked(void **state)
{
	struct rig *r = *state;

	assert_int_equal(ask(r, 0, "c@host", "PING", 4), KV_ENOTFOUND);
	assert_int_equal(ask(r, 0, "b@elsewhere", "PING", 4), KV_ENOTFOUND);
	assert_int_equal(ask(r, 0, "", "PING", 4), KV_ENOTFOUND);
}

static void
a_mebibyte_of_arguments_passes_and_not_a_byte_more(void **state)
{
	struct rig *r = *state;
	char *large = calloc(1, ARGS_FULL);

	assert_non_null(large);
	r->nodes[1].echoes = false;
	assert_int_equal(ask(r, 0, "b", large, ARGS_FULL - 1), KV_OK);
	rig_run(r);
	rig_told(r, 1, "run a@host 2 1048575 in 5000\n");
	assert_int_equal(ask(r, 0, "b", large, ARGS_FULL), KV_ETOOBIG);
	free(large);
}

static void
a_refusal_keeps_its_class_and_reason(void **state)
{
	struct rig *r = *state;

	r->nodes[1].echoes = false;
	assert_int_equal(ask(r, 0, "b", "SHUTDOWN", 8), KV_OK);
	rig_run(r);
	services_finish(r->nodes[1].services, r->nodes[1].job, REPLY_DENIED,
	    "not in remote_commands");
	rig_run(r);
	rig_told(r, 0, "end denied not in remote_commands\n");
}

static void
without_an_answer_both_sides_end_at_the_time_limit(void **state)
{
	struct rig *r = *state;

	r->nodes[1].echoes = false;
	assert_int_equal(ask(r, 0, "b", "PING", 4), KV_OK);
	rig_run(r);
	assert_int_equal(r->next_ms, r->now_ms + 5000);
	rig_told(r, 1, "run a@host 2 PING in 5000\n");
	r->now_ms += 4999;
	rig_run(r);
	rig_told(r, 0, "");
	r->now_ms++;
	rig_run(r);
	rig_told(r, 0, "end timeout no answer within the time limit\n");
	rig_told(r, 1, "stop it\n");
	assert_int_equal(r->next_ms, UINT64_MAX);
}

static void
a_lost_link_ends_what_was_asked_and_what_runs(void **state)
{
	struct rig *r = *state;

	r->nodes[1].echoes = false;
	assert_int_equal(ask(r, 0, "b", "PING", 4), KV_OK);
	rig_run(r);
	rig_told(r, 1, "run a@host 2 PING in 5000\n");
	rig_unlink(r, 0, 1);
	rig_told(r, 0, "end noconnection the link is down\n");
	rig_told(r, 1, "stop it\n");
}

static void
who_goes_away_stops_what_he_asked_for(void **state)
{
	struct rig *r = *state;
	struct kv_slice argv[] = { { "L", 1 }, { "SUBSCRIBE", 9 } };
	struct services_request q = { "b", argv, 2, 0 };

	r->nodes[1].echoes = false;
	assert_int_equal(services_ask(r->nodes[0].services, &q, r->now_ms,
			     &r->nodes[0].ask),
	    KV_OK);
	rig_run(r);
	assert_int_equal(r->next_ms, UINT64_MAX); /* it has no time limit */
	assert_int_equal(services_reply(r->nodes[1].services, r->nodes[1].job,
			     slice_of("k SET TO v")),
	    KV_OK);
	rig_run(r);
	rig_told(r, 0, "answer k SET TO v\n");
	rig_told(r, 1, "run a@host L SUBSCRIBE in 0\n");
	services_drop(r->nodes[0].services, r->nodes[0].ask);
	rig_run(r);
	rig_told(r, 0, "");
	rig_told(r, 1, "stop it\n");
}

static void
an_answer_waits_until_the_one_before_is_taken(void **state)
{
	static char part[4096];
	struct rig *r = *state;
	struct services *far = r->nodes[1].services;
	uint64_t job, room, sent = 0;
	int i;

	r->nodes[0].takes = r->nodes[1].echoes = false;
	assert_int_equal(ask(r, 0, "b", "LONG", 4), KV_OK);
	rig_run(r);
	job = r->nodes[1].job;
	while ((room = services_room(far, job)) > 0) {
		struct kv_slice bytes = { part,
			room < sizeof(part) ? room : sizeof(part) };

		assert_int_equal(services_reply(far, job, bytes), KV_OK);
		sent += bytes.len;
		rig_run(r);
	}
	assert_int_equal(sent, SERVICES_WINDOW);
	assert_int_equal(r->nodes[0].answer_bytes, SERVICES_WINDOW);
	assert_int_equal(services_reply(far, job, slice_of("x")), KV_ETOOBIG);
	for (i = 0; i < 100; i++) {
		services_taken(r->nodes[0].services, r->nodes[0].ask,
		    SERVICES_WINDOW);
		rig_run(r);
		assert_int_equal(services_room(far, job), SERVICES_WINDOW);
		while (services_room(far, job) > 0)
			assert_int_equal(services_reply(far, job,
					     (struct kv_slice){ part, 4096 }),
			    KV_OK);
		rig_run(r);
	}
	services_finish(far, job, REPLY_OK, "");
	rig_run(r);
	assert_int_equal(r->nodes[0].answer_bytes, 101 * SERVICES_WINDOW);
	rig_told(r, 0, "end ok\n");
}

static void
sixty_four_calls_are_in_flight_and_no_more(void **state)
{
	struct rig *r = *state;
	unsigned i;

	r->nodes[1].echoes = false;
	for (i = 0; i < SERVICES_CALLS; i++)
		assert_int_equal(ask(r, 0, "b", "PING", 4), KV_OK);
	assert_int_equal(ask(r, 0, "b", "PING", 4), KV_EBUSY);
	rig_run(r);
	assert_int_equal(r->nodes[1].frames[FRAME_CALL], SERVICES_CALLS);
}

static struct frame
call_frame(uint64_t id, uint8_t flags, struct kv_slice bytes)
{
	return (struct frame){ .type = FRAME_CALL,
		.u.call = { id, flags, 1000, bytes } };
}

static void
a_peer_that_breaks_the_rules_is_refused(void **state)
{
	static char part[60000];
	struct rig *r = *state;
	struct kv_slice bytes = { part, sizeof(part) };
	struct kv_slice ping = { "\0\1\0\0\0\4PING", 10 };
	struct frame f;
	uint64_t i;
	int rc = KV_OK;

	/* The frames of two calls mixed. */
	f = call_frame(1, FRAME_MORE, ping);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	f = call_frame(2, 0, ping);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_EPROTO);
	rig_unlink(r, 0, 1);
	rig_link(r, 0, 1);
	/* Arguments without an end. */
	for (i = 0; i < 20 && rc == KV_OK; i++) {
		f = call_frame(1, FRAME_MORE, bytes);
		rc = rig_push(r, 1, 0, &f);
	}
	assert_int_equal(rc, KV_EPROTO);
	assert_int_equal(i, 18);
	rig_unlink(r, 0, 1);
	rig_link(r, 0, 1);
	/* One id twice, too many, arguments that are none. */
	r->nodes[0].echoes = false;
	for (i = 1; i <= SERVICES_CALLS; i++) {
		f = call_frame(i, 0, ping);
		assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	}
	f = call_frame(i, 0, ping);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_EPROTO);
	f = call_frame(7, 0, ping);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_EPROTO);
	rig_unlink(r, 0, 1);
	rig_link(r, 0, 1);
	f = call_frame(1, 0, slice_of("?"));
	assert_int_equal(rig_push(r, 1, 0, &f), KV_EPROTO);
	/* Credit out of nothing. */
	f = call_frame(3, 0, ping);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	f = (struct frame){ .type = FRAME_FLOW, .u.flow = { 3, 1 } };
	assert_int_equal(rig_push(r, 1, 0, &f), KV_EPROTO);
}

/* He reads nothing, so nothing was sent, and says that he took it. */
static void
what_was_not_sent_cannot_be_taken(void **state)
{
	static char part[SERVICES_WINDOW];
	struct rig *r = *state;
	struct services *near = r->nodes[0].services;
	struct kv_slice ping = { "\0\1\0\0\0\4PING", 10 };
	struct kv_slice bytes = { part, sizeof(part) };
	struct frame f = call_frame(3, 0, ping);
	const struct frame flow = { .type = FRAME_FLOW,
		.u.flow = { 3, SERVICES_WINDOW } };

	r->nodes[0].echoes = false;
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	assert_int_equal(services_reply(near, r->nodes[0].job, bytes), KV_OK);
	assert_int_equal(rig_push(r, 1, 0, &flow), KV_EPROTO);
	assert_int_equal(services_room(near, r->nodes[0].job), 0);
	rig_run(r); /* now it is on its way */
	assert_int_equal(rig_push(r, 1, 0, &flow), KV_OK);
	assert_int_equal(services_room(near, r->nodes[0].job), SERVICES_WINDOW);
	assert_int_equal(rig_push(r, 1, 0, &flow), KV_EPROTO);
}

static void
an_answer_beyond_the_window_is_refused(void **state)
{
	static char part[60000];
	struct rig *r = *state;
	struct frame f = { .type = FRAME_REPLY };

	r->nodes[0].takes = r->nodes[1].echoes = false;
	assert_int_equal(ask(r, 0, "b", "PING", 4), KV_OK);
	rig_run(r);
	f.u.reply.id = r->nodes[0].ask;
	f.u.reply.flags = FRAME_MORE;
	f.u.reply.bytes = (struct kv_slice){ part, sizeof(part) };
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
	assert_int_equal(rig_push(r, 1, 0, &f), KV_EPROTO);
	/* Of what was never asked: it may have crossed the end. */
	f.u.reply.id = 12345;
	assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
}

/* A frame with numbers that may fit something. */
static struct frame
any_frame(uint64_t *seed, const char *bytes, size_t size)
{
	static const struct kv_slice ping = { "\0\1\0\0\0\4PING", 10 };
	uint64_t id = rng_next(seed) % 40;
	uint8_t flag = rng_next(seed) % 2;
	struct kv_slice some = { bytes, rng_next(seed) % size };
	struct frame f = { .type = FRAME_FLOW,
		.u.flow = { id, (uint32_t)(rng_next(seed) % 70000) } };

	switch (rng_next(seed) % 9) {
	case 0:
		f.type = FRAME_BARRIER;
		f.u.barrier = (struct frame_barrier){ id, flag };
		break;
	case 1:
		some.len &= ~(size_t)15;
		f.type = FRAME_BARRIER_OK;
		f.u.barrier_ok = (struct frame_barrier_ok){ id, flag, some };
		break;
	case 2:
	case 3:
		f.type = FRAME_CALL;
		f.u.call = (struct frame_call){ id, flag, 50,
			rng_next(seed) % 2 ? some : ping };
		break;
	case 4:
	case 5:
		f.type = FRAME_REPLY;
		f.u.reply = (struct frame_reply){ id, flag,
			(uint8_t)(rng_next(seed) % 5), some };
		break;
	case 6:
		f.type = FRAME_PRESENCE;
		f.u.presence = (struct frame_presence){ flag, some };
		break;
	case 7:
		f.type = FRAME_PART;
		f.u.part = (struct frame_part){ id % 3, 1 + id % 5,
			(uint32_t)(1 + id * 1000), (uint32_t)(some.len * flag),
			{ bytes, flag ? 0 : 1 + rng_next(seed) % 8 }, some };
		break;
	default:
		if (flag)
			break;
		f.type = FRAME_MESSAGE;
		f.u.message = (struct frame_message){ id, rng_next(seed),
			{ bytes, rng_next(seed) % 9 }, some };
	}
	return f;
}

/* What this node's own clients and workers do meanwhile. */
static void
any_deed(struct rig *r, unsigned n, uint64_t *seed)
{
	struct services *s = r->nodes[n].services;
	uint64_t id = rng_next(seed) % 40, wait;

	switch (rng_next(seed) % 8) {
	case 0:
		(void)!ask(r, n, n == 0 ? "b" : "a", "GET", 3);
		break;
	case 1:
		services_drop(s, id);
		break;
	case 2:
		services_taken(s, id, rng_next(seed) % 70000);
		break;
	case 3:
		(void)!services_reply(s, r->nodes[n].job, slice_of("answer"));
		break;
	case 4:
		services_finish(s, r->nodes[n].job,
		    (enum frame_reply_class)(rng_next(seed) % 5), "why");
		break;
	case 5:
		(void)!services_barrier(s, rng_next(seed) % 9, NULL, 0,
		    r->now_ms + 100, &wait);
		break;
	case 6:
		services_forget(s, id);
		break;
	default:
		r->now_ms += rng_next(seed) % 30;
		rig_run(r);
	}
}

static void
no_frames_in_any_order_break_anything(void **state)
{
	struct rig *r = *state;
	const char *text = getenv("KV_SEED");
	uint64_t seed = text == NULL ? rng_u64() : strtoull(text, NULL, 10);
	static char bytes[3000];
	unsigned i, refused = 0;

	print_message("KV_SEED=%llu\n", (unsigned long long)seed);
	r->nodes[0].echoes = r->nodes[1].echoes = false;
	r->is_lax = true;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)rng_next(&seed);
	for (i = 0; i < 50000; i++) {
		unsigned to = rng_next(&seed) % 2;
		struct frame f = any_frame(&seed, bytes, sizeof(bytes));

		any_deed(r, (unsigned)(rng_next(&seed) % 2), &seed);
		if (rig_push(r, !to, to, &f) < 0) {
			refused++;
			rig_unlink(r, 0, 1);
			rig_link(r, 0, 1);
		}
		r->nodes[0].told.len = r->nodes[1].told.len = 0;
	}
	assert_true(refused > 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_pair, rig_done)
	const struct CMUnitTest tests[] = {
		TEST(a_call_runs_at_the_named_node_and_its_answer_comes_back),
		TEST(a_node_that_is_not_linked_is_not_asked),
		TEST(a_mebibyte_of_arguments_passes_and_not_a_byte_more),
		TEST(a_refusal_keeps_its_class_and_reason),
		TEST(without_an_answer_both_sides_end_at_the_time_limit),
		TEST(a_lost_link_ends_what_was_asked_and_what_runs),
		TEST(who_goes_away_stops_what_he_asked_for),
		TEST(an_answer_waits_until_the_one_before_is_taken),
		TEST(sixty_four_calls_are_in_flight_and_no_more),
		TEST(a_peer_that_breaks_the_rules_is_refused),
		TEST(what_was_not_sent_cannot_be_taken),
		TEST(an_answer_beyond_the_window_is_refused),
		TEST(no_frames_in_any_order_break_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
