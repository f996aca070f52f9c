/* SPDX-License-Identifier: ISC */
/* Death while changes of other hosts are taken over: a claim is there only with
 * all of the data that it was made of. */

#include "syncd/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/maintain.h"
#include "engine_model.h"

#define KEYS 600 /* more than are appended at once */
#define DEATHS 20
#define OTHERS 7

static struct engine *e;
static struct syncd_store *store;
static struct sync_store s;

static int
find_vv(void *user, const struct sync_row *row)
{
	if (row->inc == OTHERS)
		*(uint64_t *)user = row->vv;
	return KV_OK;
}

static uint64_t
vv(bool tree)
{
	uint64_t found = 0;

	EXPECT(s.ops->refresh(s.self) == KV_OK);
	EXPECT(s.ops->rows(s.self, tree, find_vv, &found) == KV_OK);
	s.ops->release(s.self);
	return found;
}

static struct kv_slice
key_name(unsigned k, char to[16])
{
	snprintf(to, 16, "%u", k);
	return slice_of(to);
}

/* Their bucket was dropped behind the version before, and made again. */
static struct sync_change
drop_before(uint64_t version)
{
	return (struct sync_change){ .how = CHANGE_MERGE,
		.item.record = { .type = RECORD_BUCKET, .key = slice_of("b") },
		.item.bucket = { .created = { version, OTHERS },
		    .dropped = { version - 1, OTHERS } } };
}

/* Every key in its newest version and the claim of all of them; the bucket's
 * row somewhere among them. */
static void
take_over(uint64_t version)
{
	struct sync_change changes[KEYS + 1];
	struct sync_row row = { .inc = OTHERS, .vv = version };
	struct sync_batch b = { .changes = changes,
		.count = KEYS + 1,
		.rows = &row,
		.row_count = 1 };
	unsigned place = model_random(model, KEYS + 1), k;
	char names[KEYS][16];
	uint64_t position;
	int rc;

	changes[place] = drop_before(version);
	for (k = 0; k < KEYS; k++)
		changes[k + (k >= place)] =
		    (struct sync_change){ .how = CHANGE_MERGE,
			    .item.record = { .type = RECORD_PUT,
				.stamp = { version, OTHERS },
				.bid = engine_bucket_id(slice_of("b")),
				.key = key_name(k, names[k]),
				.value = slice_of("v") } };
	do {
		EXPECT(s.ops->refresh(s.self) == KV_OK);
		rc = s.ops->commit(s.self, &b, &position);
		s.ops->release(s.self);
		if (rc == KV_EAGAIN) /* the log is full, maybe midway */
			EXPECT(maintain_settle(e) == KV_OK);
	} while (rc == KV_EAGAIN);
	EXPECT(rc == KV_OK);
}

static void
open_store(void)
{
	e = model_open(model, DURABILITY_EVERYSEC);
	EXPECT(syncd_store_new(e, &store) == KV_OK);
	s = syncd_store_ops(store);
}

/* Or newer: the claim comes last. */
static bool
has_key(unsigned k, uint64_t claimed, uint64_t in_tree, struct record *r)
{
	uint64_t bid = engine_bucket_id(slice_of("b"));
	struct sync_item item;
	char name[16];
	int rc;

	rc = s.ops->get(s.self, bid, key_name(k, name), r);
	EXPECT(rc == KV_OK || (rc == KV_ENOTFOUND && claimed == 0));
	EXPECT(rc < 0 || r->stamp.tick >= claimed);
	if (in_tree > 0) {
		EXPECT(s.ops->range(s.self, bid, key_name(k, name), false,
			   &item) == KV_OK);
		EXPECT(item.record.stamp.tick >= in_tree);
	}
	return rc == KV_OK;
}

/* What is claimed must be there; in the tree, of the tree. */
static void
check_claims(void)
{
	uint64_t claimed = vv(false), in_tree = vv(true), shown = 0;
	const struct bucket *b = NULL;
	struct totals sums;
	struct record r;
	unsigned k;

	EXPECT(in_tree <= claimed);
	EXPECT(s.ops->refresh(s.self) == KV_OK);
	if (engine_bucket(e, slice_of("b"), &b) < 0)
		b = NULL;
	EXPECT(b != NULL || claimed == 0);
	for (k = 0; k < KEYS; k++)
		if (has_key(k, claimed, in_tree, &r) && b != NULL)
			shown += bucket_shows(b, r.stamp);
	EXPECT(b == NULL ||
	    (engine_totals(e, b, &sums) == KV_OK && sums.keys == shown));
	s.ops->release(s.self);
	EXPECT(model_findings(e) == 0);
}

/* A life that ends at any instruction. */
static void
live(void)
{
	struct itimerval death = { .it_value = { 0,
				       1000 + model_random(model, 40000) } };
	unsigned settle = 1 + model_random(model, 60), i = 0;
	uint64_t version;

	open_store();
	check_claims();
	version = vv(false);
	setitimer(ITIMER_REAL, &death, NULL);
	for (;;) {
		take_over(++version);
		if (++i % settle == 0)
			EXPECT(maintain_settle(e) == KV_OK);
	}
}

static void
look(void)
{
	open_store();
	check_claims();
	model->newest = vv(false) > 0;
	syncd_store_free(store);
	engine_close(e);
	_exit(0);
}

static int
in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
die_again_and_again(bool power)
{
	unsigned i, any = 0;

	for (i = 0; i < DEATHS; i++) {
		int status = in_child(live);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
		if (power)
			model_cut_power(model);
		assert_int_equal(in_child(look), 0);
		any += model->newest;
	}
	assert_true(any > 0);
}

static void
a_claim_is_there_with_its_data_after_a_death(void **state)
{
	(void)state;
	die_again_and_again(false);
}

static void
a_claim_is_there_with_its_data_after_a_power_cut(void **state)
{
	(void)state;
	die_again_and_again(true);
}

int
main(void)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, model_set_up, model_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_claim_is_there_with_its_data_after_a_death),
		TEST(a_claim_is_there_with_its_data_after_a_power_cut),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
