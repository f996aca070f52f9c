/* SPDX-License-Identifier: ISC */
/* Buckets that keep what is lost when two hosts write a key at once. */

#include "engine/conflict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/foreign.h"
#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine/scan.h"
#include "engine_model.h"

#define NODE 7 /* another one's incarnation */
#define OTHER 8

static struct model_shared *m;
static struct engine *e;

static void
print_finding(void *user, const char *line)
{
	(void)user;
	print_error("verify: %s\n", line);
}

static void
commit(void)
{
	uint64_t end;

	assert_int_equal(engine_commit(e, &end), KV_OK);
}

static void
create(const char *name, uint32_t options)
{
	assert_int_equal(engine_create(e, slice_of(name), options), KV_OK);
	commit();
}

static int
set_up(void **state)
{
	(void)state;
	m = model_new();
	e = model_open(m, DURABILITY_EVERYSEC);
	assert_int_equal(engine_refresh(e), KV_OK);
	create("c", BUCKET_STAYS | BUCKET_CONFLICTS);
	create("plain", BUCKET_STAYS);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	engine_close(e);
	model_free(m);
	return 0;
}

static void
settle(void)
{
	engine_release(e);
	assert_int_equal(maintain_settle(e), KV_OK);
	assert_int_equal(engine_verify(e, print_finding, NULL, NULL), 0);
	assert_int_equal(engine_refresh(e), KV_OK);
}

static const struct bucket *
bucket(const char *name)
{
	const struct bucket *b;

	assert_int_equal(engine_bucket(e, slice_of(name), &b), KV_OK);
	return b;
}

static struct record
raw(const char *name, const char *key)
{
	struct record r;

	assert_int_equal(engine_get_raw(e, bucket(name)->bid, slice_of(key),
			     &r),
	    KV_OK);
	return r;
}

static struct stamp
put(const char *name, const char *key, const char *value)
{
	assert_int_equal(engine_put(e, bucket(name), slice_of(key),
			     slice_of(value), 0),
	    KV_OK);
	commit();
	return raw(name, key).stamp;
}

static struct stamp delete (const char *name, const char *key)
{
	assert_int_equal(engine_delete(e, bucket(name), slice_of(key)), KV_OK);
	commit();
	return raw(name, key).stamp;
}

/* A record of another host, later than all that is here by so much. */
static struct foreign
theirs(const char *name, const char *key, const char *value, uint64_t tick)
{
	return (struct foreign){ .how = FOREIGN_MERGE,
		.record = { .type = value == NULL ? RECORD_TOMB : RECORD_PUT,
		    .marks = RECORD_PREV,
		    .stamp = { tick, NODE },
		    .bid = bucket(name)->bid,
		    .key = slice_of(key),
		    .value = slice_of(value == NULL ? "" : value) } };
}

static struct stamp
merge(struct foreign f)
{
	uint64_t end = 0;

	assert_int_equal(foreign_commit(e, &f, 1, &end), KV_OK);
	return f.record.stamp;
}

static uint64_t
later(void)
{
	return engine_control(e)->seq + 1;
}

/* What is kept, oldest first; of at most `most` one is copied out. */
static size_t
kept(struct conflict *last)
{
	const struct bucket *b;
	struct record r;
	struct scan *s;
	size_t n = 0;
	int rc = conflict_bucket(e, &b);

	if (rc == KV_ENOTFOUND)
		return 0;
	assert_int_equal(rc, KV_OK);
	assert_int_equal(scan_open(e, b, &s), KV_OK);
	while (scan_next(s, &r) == KV_OK) {
		struct conflict c;

		assert_int_equal(conflict_get(&r, last != NULL ? last : &c),
		    KV_OK);
		n++;
	}
	scan_close(s);
	return n;
}

static void
assert_stamp(struct stamp a, struct stamp b)
{
	assert_int_equal(a.tick, b.tick);
	assert_int_equal(a.inc, b.inc);
}

static void
a_write_says_which_of_another_host_its_writer_had(void **state)
{
	struct stamp first;
	struct record r;

	(void)state;
	put("c", "k", "1");
	assert_true(raw("c", "k").marks & RECORD_PREV);
	assert_int_equal(raw("c", "k").prev.tick, 0);
	first = merge(theirs("c", "k", "2", later()));
	put("c", "k", "3");
	assert_stamp(raw("c", "k").prev, first);
	put("c", "k", "4"); /* our own before it does not count */
	assert_stamp(raw("c", "k").prev, first);
	settle();
	delete ("c", "k");
	settle();
	r = raw("c", "k");
	assert_int_equal(r.type, RECORD_TOMB);
	assert_true(r.marks & RECORD_PREV);
	assert_stamp(r.prev, first);
	/* In one batch, too. */
	assert_int_equal(engine_put(e, bucket("c"), slice_of("k"),
			     slice_of("5"), 0),
	    KV_OK);
	assert_int_equal(engine_put(e, bucket("c"), slice_of("k"),
			     slice_of("6"), 0),
	    KV_OK);
	commit();
	assert_stamp(raw("c", "k").prev, first);
	put("plain", "k", "1");
	assert_false(raw("plain", "k").marks & RECORD_PREV);
	assert_int_equal(kept(NULL), 1); /* "1" to "2" */
}

static void
what_we_lose_is_kept(void **state)
{
	struct stamp mine = put("c", "k", "mine"), won;
	struct conflict c;

	(void)state;
	won = merge(theirs("c", "k", "theirs", later()));
	assert_int_equal(kept(&c), 1);
	assert_true(slice_equal(c.bucket, slice_of("c")));
	assert_true(slice_equal(c.key, slice_of("k")));
	assert_true(slice_equal(c.value, slice_of("mine")));
	assert_int_equal(c.value_len, 4);
	assert_true(c.was_ours && !c.was_deletion && !c.is_deletion);
	assert_stamp(c.lost, mine);
	assert_stamp(c.won, won);
	settle();
	engine_release(e);
	engine_close(e);
	e = model_open(m, DURABILITY_EVERYSEC);
	assert_int_equal(engine_refresh(e), KV_OK);
	assert_int_equal(kept(&c), 1);
	assert_true(slice_equal(c.value, slice_of("mine")));
}

static void
what_another_host_loses_is_kept_once(void **state)
{
	uint64_t tick = later();
	struct stamp mine;
	struct conflict c;

	(void)state;
	(void)put("c", "before", "x");
	mine = put("c", "k", "mine");
	assert_true(tick < mine.tick);
	merge(theirs("c", "k", "theirs", tick));
	merge(theirs("c", "k", "theirs", tick));
	assert_int_equal(kept(&c), 1);
	assert_false(c.was_ours);
	assert_true(slice_equal(c.value, slice_of("theirs")));
	assert_stamp(c.won, mine);
	assert_true(slice_equal(raw("c", "k").value, slice_of("mine")));
	/* The same writer's next one, which loses too, stands for it. */
	merge(theirs("c", "k", "again", tick + 1));
	assert_int_equal(kept(&c), 1);
	assert_true(slice_equal(c.value, slice_of("again")));
	merge(theirs("c", "k", "theirs", tick));
	assert_int_equal(kept(&c), 1);
	assert_true(slice_equal(c.value, slice_of("again")));
}

static void
deletions_lose_and_win(void **state)
{
	struct conflict c;

	(void)state;
	put("c", "k", "mine");
	merge(theirs("c", "k", NULL, later()));
	assert_int_equal(kept(&c), 1);
	assert_true(c.is_deletion && !c.was_deletion);
	delete ("c", "l");
	merge(theirs("c", "l", "theirs", later()));
	assert_int_equal(kept(&c), 2);
	assert_true(c.was_deletion && !c.is_deletion);
	delete ("c", "n");
	merge(theirs("c", "n", NULL, later()));
	assert_int_equal(kept(NULL), 2);
}

static void
who_had_seen_it_takes_nothing_away(void **state)
{
	struct stamp mine = put("c", "k", "mine");
	uint64_t old = mine.tick - 1;
	struct foreign f = theirs("c", "k", "theirs", later());
	struct stamp seen;

	(void)state;
	f.record.prev = mine;
	seen = merge(f);
	put("c", "k", "after");
	/* What we had seen, or what that had replaced, comes again. */
	f.record.stamp = seen;
	merge(f);
	merge(theirs("c", "k", "older", old));
	put("c", "same", "value");
	merge(theirs("c", "same", "value", later()));
	/* Two others: it is theirs to see. */
	merge(theirs("c", "two", "x", later()));
	f = theirs("c", "two", "y", later());
	f.record.stamp.inc = OTHER;
	merge(f);
	put("plain", "k", "mine");
	merge(theirs("plain", "k", "theirs", later()));
	assert_int_equal(kept(NULL), 0);
}

/* From a version that does not know of it, and what was here before the option
 * was. */
static void
of_what_is_not_known_nothing_is_said(void **state)
{
	struct foreign f;

	(void)state;
	put("c", "k", "mine");
	f = theirs("c", "k", "theirs", later());
	f.record.marks = 0;
	merge(f);
	assert_false(raw("c", "k").marks & RECORD_PREV);
	put("plain", "k", "mine");
	put("plain", "l", "mine");
	create("plain", BUCKET_CONFLICTS);
	put("plain", "l", "mine again");
	assert_false(raw("plain", "l").marks & RECORD_PREV);
	merge(theirs("plain", "l", "theirs", 1));
	assert_int_equal(kept(NULL), 0);
	merge(theirs("plain", "k", "theirs", later()));
	assert_int_equal(kept(NULL), 1);
}

static void
what_a_drop_or_a_deadline_took_is_not_lost(void **state)
{
	struct foreign f;

	(void)state;
	put("c", "k", "mine");
	assert_int_equal(engine_drop(e, slice_of("c")), KV_OK);
	commit();
	create("c", BUCKET_STAYS | BUCKET_CONFLICTS);
	merge(theirs("c", "k", "theirs", later()));
	put("c", "t", "timed");
	f = theirs("c", "t", NULL, later());
	f.record.flags = RECORD_EXPIRED;
	merge(f);
	assert_int_equal(kept(NULL), 0);
}

static void
the_oldest_make_room(void **state)
{
	struct conflict c;
	const struct bucket *b;
	struct totals sums;
	char key[16];
	unsigned i;

	(void)state;
	for (i = 0; i < CONFLICT_KEPT + 200; i++) {
		snprintf(key, sizeof(key), "k%04u", i);
		put("c", key, "mine");
		merge(theirs("c", key, "theirs", later()));
		if (i % 200 == 0)
			settle();
	}
	assert_int_equal(kept(&c), CONFLICT_KEPT);
	assert_true(slice_equal(c.key, slice_of("k1199")));
	settle();
	assert_int_equal(kept(NULL), CONFLICT_KEPT);
	for (i = 0; i < 100; i++) {
		char *text = calloc(1, 100001);

		assert_non_null(text);
		memset(text, 'x', 100000);
		snprintf(key, sizeof(key), "l%04u", i);
		put("c", key, text);
		merge(theirs("c", key, "theirs", later()));
		free(text);
		if (i % 5 == 0)
			settle();
	}
	assert_int_equal(conflict_bucket(e, &b), KV_OK);
	assert_int_equal(engine_totals(e, b, &sums), KV_OK);
	assert_true(sums.bytes <= CONFLICT_KEPT_BYTES);
	assert_true(sums.bytes > CONFLICT_KEPT_BYTES - 2 * CONFLICT_VALUE_MAX);
	(void)kept(&c);
	assert_int_equal(c.value.len, CONFLICT_VALUE_MAX);
	assert_int_equal(c.value_len, 100000);
	settle();
}

static size_t
cleared(const char *name)
{
	size_t n;

	assert_int_equal(conflict_clear(e, slice_of(name), &n), KV_OK);
	commit();
	return n;
}

static void
those_of_a_bucket_can_be_cleared_or_all(void **state)
{
	struct conflict c = { .key = { "", 0 } };
	struct foreign f;

	(void)state;
	assert_int_equal(cleared("c"), 0);
	assert_int_equal(cleared(""), 0);
	create("d", BUCKET_STAYS | BUCKET_CONFLICTS);
	put("c", "k", "mine");
	f = theirs("c", "k", "theirs", later());
	merge(f);
	put("c", "l", "mine");
	merge(theirs("c", "l", "theirs", later()));
	put("d", "k", "mine");
	merge(theirs("d", "k", "theirs", later()));
	settle();
	assert_int_equal(kept(NULL), 3);
	assert_int_equal(cleared("other"), 0);
	assert_int_equal(cleared("c"), 2);
	assert_int_equal(kept(&c), 1);
	assert_true(slice_equal(c.bucket, slice_of("d")));
	/* What has won comes again, and takes nothing away any more. */
	merge(f);
	assert_int_equal(kept(NULL), 1);
	put("c", "m", "mine");
	merge(theirs("c", "m", "theirs", later()));
	assert_int_equal(cleared(""), 2);
	assert_int_equal(kept(NULL), 0);
	settle();
	assert_int_equal(kept(NULL), 0);
	put("c", "n", "mine");
	merge(theirs("c", "n", "theirs", later()));
	assert_int_equal(kept(NULL), 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_write_says_which_of_another_host_its_writer_had),
		TEST(what_we_lose_is_kept),
		TEST(what_another_host_loses_is_kept_once),
		TEST(deletions_lose_and_win),
		TEST(who_had_seen_it_takes_nothing_away),
		TEST(of_what_is_not_known_nothing_is_said),
		TEST(what_a_drop_or_a_deadline_took_is_not_lost),
		TEST(the_oldest_make_room),
		TEST(those_of_a_bucket_can_be_cleared_or_all),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
