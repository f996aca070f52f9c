/* SPDX-License-Identifier: ISC */
/* What kv-syncd leaves behind of the nodes it knew. */

#include "syncd_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/nodes.h"
#include "engine/note.h"
#include "syncd/known.h"

#define HEAD "kv-nodes 5 1000 0\nfoo@h\tself\t:1" ZEROS "\t0\t-\t-\t-\n"
#define ZEROS "\t0\t0\t0\t0\t0\t0\t0\t0\t0"

static struct syncd syncd;

static struct known *
known_begins(void)
{
	struct known *k;

	syncd = (struct syncd){ .engine = syncd_rig.engine };
	assert_int_equal(loop_new(&syncd.loop), KV_OK);
	assert_int_equal(known_open(&syncd, &k), KV_OK);
	return k;
}

static void
known_ends(struct known *k)
{
	known_close(k);
	loop_free(syncd.loop);
}

/* A report on one other node. */
static void
known_told(struct known *k, const char *name, unsigned seen,
    const char *address)
{
	struct buf text;

	buf_init(&text);
	assert_int_equal(buf_printf(&text,
			     HEAD "%s\tup\t%s" ZEROS
				  "\t%u\t00000000000000ab\t-\t-\n",
			     name, address, seen),
	    KV_OK);
	known_take(k, buf_slice(&text));
	buf_fini(&text);
}

static size_t
known_kept(const char *wanted, bool *found)
{
	struct nodes all;
	struct nodes_row row;
	size_t n = 0;

	*found = false;
	assert_int_equal(nodes_read_kept(syncd_rig.engine, &all), KV_OK);
	while (nodes_next(&all, &row)) {
		*found |= slice_equal(row.field[NODES_NAME], slice_of(wanted));
		n++;
	}
	nodes_fini(&all);
	return n;
}

static void
who_was_linked_once_is_known_to_the_next_kv_syncd(void **state)
{
	struct known *k = known_begins();
	bool found;

	(void)state;
	known_told(k, "bar@h", 5000, "1.2.3.4:5");
	known_told(k, "baz@h", 0, "-");
	known_told(k, "qux@h", 6000, "-");
	known_ends(k);
	k = known_begins();
	assert_int_equal(known_who(k, "bar@h").seen_ms, 5000);
	assert_int_equal(known_who(k, "bar@h").uid, 0xab);
	assert_string_equal(known_who(k, "bar@h").address, "1.2.3.4:5");
	assert_int_equal(known_who(k, "qux@h").seen_ms, 6000);
	assert_int_equal(known_who(k, "baz@h").seen_ms,
	    0); /* a typing error? */
	assert_int_equal(known_kept("bar@h", &found), 3);
	assert_true(found);
	known_ends(k);
}

static void
when_there_are_too_many_the_one_seen_longest_ago_goes(void **state)
{
	struct known *k = known_begins();
	char name[32];
	unsigned i;
	bool found;

	(void)state;
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "n%u@h", i);
		known_told(k, name, 1000 + i, "-");
	}
	assert_int_equal(known_who(k, "n43@h").seen_ms, 0);
	assert_int_equal(known_who(k, "n44@h").seen_ms, 1044);
	known_ends(k);
	assert_int_equal(known_kept("n299@h", &found), 1 + MEMBERS_MAX);
	assert_true(found);
}

/* When we end, it is not the others who are down. */
static void
what_is_told_while_we_end_is_not_kept(void **state)
{
	struct known *k = known_begins();
	bool found;

	(void)state;
	known_told(k, "bar@h", 5000, "-");
	syncd.stopping = true;
	known_told(k, "late@h", 6000, "-");
	known_ends(k);
	assert_int_equal(known_kept("late@h", &found), 2);
	assert_false(found);
}

static void
damage_is_passed_over(void **state)
{
	static const char *const texts[] = { "", "\n", "kv-nodes 5",
		"kv-nodes 5 ", "kv-nodes 5 1\n", "kv-nodes 4 1 2\n",
		"kv-nodes 5 x y\n", "kv-nodes 5 1 -2\n", "\0\n" };
	struct nodes all;
	struct nodes_row row;
	struct known *k;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(note_keep(syncd_rig.engine, NOTE_NODES,
				     slice_of(texts[i])),
		    KV_OK);
		assert_int_equal(nodes_read_kept(syncd_rig.engine, &all),
		    KV_ENOTFOUND);
		nodes_fini(&all);
		k = known_begins();
		assert_int_equal(known_who(k, "").seen_ms, 0);
		known_ends(k);
	}
	/* Too few fields, too many; none; the last line has no end. */
	assert_int_equal(nodes_parse(slice_of(HEAD
					 "a\tb\n"
					 "a\tup\t-" ZEROS "\t9\t-\t-\t-\t-\n"
					 "\n"
					 "b\tup\t-" ZEROS "\t9\tx\t-\tbad\n"
					 "c\tup\t-" ZEROS "\t9\t-\t-\t-"),
			     &all),
	    KV_OK);
	assert_true(nodes_next(&all, &row));
	assert_true(slice_equal(row.field[NODES_NAME], slice_of("foo@h")));
	assert_true(nodes_next(&all, &row));
	assert_true(slice_equal(row.field[NODES_NAME], slice_of("b")));
	assert_int_equal(nodes_number(&row, NODES_SEEN), 9);
	assert_int_equal(nodes_id(&row, NODES_UID), 0);
	assert_true(slice_equal(row.field[NODES_REASON], slice_of("bad")));
	assert_false(nodes_next(&all, &row));
}

#define KNOWN_TEST(f)                                                          \
	cmocka_unit_test_setup_teardown(f, syncd_set_up, syncd_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KNOWN_TEST(who_was_linked_once_is_known_to_the_next_kv_syncd),
		KNOWN_TEST(
		    when_there_are_too_many_the_one_seen_longest_ago_goes),
		KNOWN_TEST(what_is_told_while_we_end_is_not_kept),
		KNOWN_TEST(damage_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
