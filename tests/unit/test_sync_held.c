/* SPDX-License-Identifier: ISC */
/* What large values on their way cost, where nobody takes them: so many at a
 * time, each once, and not twice its size. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "sync_nodes.h"

#define MIB (1u << 20)
#define VALUE (4 * MIB)
#define CREDIT (64u << 10)
#define LITTLE (512u << 10) /* links, vectors, frames of all of them */

/* Node 3 has links to the other three. */
static int
star(void **state)
{
	struct nodes *n = nodes_new(4);
	size_t i;

	if (n == NULL)
		return -1;
	for (i = 0; i < 4; i++) {
		nodes_stop(n, i);
		n->node[i].config.value_max = VALUE;
		n->node[i].config.tuning.credit = CREDIT;
		nodes_start(n, i);
	}
	for (i = 0; i < 3; i++)
		nodes_join(n, i, 3);
	nodes_pass(n, 500);
	*state = n;
	return 0;
}

static size_t
held(const struct nodes *n, size_t i)
{
	const struct replica *r = n->node[i].replica;
	const struct replica_link *l = NULL;
	size_t sum = replica_held(r, NULL);

	while ((l = replica_next_link(r, l)) != NULL)
		sum += replica_held(r, l);
	return sum;
}

static void
refuse(struct nodes *n, int why)
{
	size_t i;

	for (i = 0; i < 4; i++)
		n->node[i].store.refuse = why;
}

static void
values_that_come_take_two_buffers_and_each_sender_one(void **state)
{
	struct nodes *n = *state;
	const char *key[] = { "x", "y", "z" };
	size_t i;

	n->node[3].store.refuse = KV_ENOSPC;
	for (i = 0; i < 3; i++) {
		nodes_put_large(n, i, key[i], VALUE);
		nodes_pass(n, 100);
	}
	nodes_pass(n, 5000);
	assert_in_range(held(n, 3), VALUE, 2 * VALUE + LITTLE);
	/* The one that waits for a buffer there. */
	assert_in_range(held(n, 2), VALUE, VALUE + LITTLE);
	n->node[3].store.refuse = KV_OK;
	nodes_pass(n, 10000);
	for (i = 0; i < 3; i++)
		assert_true(nodes_has(n, 3, key[i]));
	assert_true(held(n, 3) < LITTLE && held(n, 2) < LITTLE);
}

static void
one_value_for_many_takes_two_buffers(void **state)
{
	struct nodes *n = *state;
	size_t i;

	refuse(n, KV_ENOSPC);
	n->node[3].store.refuse = KV_OK;
	nodes_put_large(n, 3, "first", VALUE);
	nodes_put_large(n, 3, "second", VALUE);
	nodes_pass(n, 5000);
	assert_in_range(held(n, 3), VALUE, 2 * VALUE + LITTLE);
	refuse(n, KV_OK);
	nodes_pass(n, 10000);
	for (i = 0; i < 3; i++)
		assert_true(
		    nodes_has(n, i, "first") && nodes_has(n, i, "second"));
	assert_true(held(n, 3) < LITTLE);
}

static void
a_large_buffer_is_no_larger_than_what_is_in_it(void **state)
{
	static char piece[60000];
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b);
	assert_int_equal(buf_reserve(&b, 16 * MIB), KV_OK);
	assert_in_range(b.cap, 16 * MIB, 16 * MIB + LITTLE);
	buf_fini(&b);
	for (i = 0; i < 16 * MIB / sizeof(piece); i++) {
		piece[0] = (char)i;
		assert_int_equal(buf_append(&b, piece, sizeof(piece)), KV_OK);
	}
	assert_in_range(b.cap, b.len, b.len + b.len / 3);
	for (i = 0; i < b.len / sizeof(piece); i++)
		assert_int_equal(b.data[i * sizeof(piece)], (char)i);
	buf_consume(&b, b.len - 100);
	buf_fit(&b);
	assert_int_equal(b.cap, 100);
	buf_fini(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, star, nodes_done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_that_come_take_two_buffers_and_each_sender_one),
		TEST(one_value_for_many_takes_two_buffers),
		cmocka_unit_test(
		    a_large_buffer_is_no_larger_than_what_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
