/* SPDX-License-Identifier: ISC */
/* The naive store: making it, changing it, maintaining the real one. */

#include "engine_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/maintain.h"
#include "engine_state.h"

#define SEGMENT (1u << 20)
#define VALUE_MAX 40000

void
model_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

uint32_t
model_random(struct model_shared *m, uint32_t below)
{
	return (uint32_t)(rng_next(&m->seed) >> 11) % below;
}

struct kv_slice
model_bucket_name(unsigned b)
{
	static const char *const names[MODEL_BUCKETS] = { "shopping", "a",
		"shop", "db0", "shop" };

	return slice_of(names[b]);
}

enum scope
model_bucket_scope(unsigned b)
{
	return b == MODEL_BUCKETS - 1 ? SCOPE_LOCAL : SCOPE_GLOBAL;
}

int
model_bucket(struct engine *e, unsigned b, const struct bucket **out)
{
	return engine_bucket_in(e, model_bucket_scope(b), model_bucket_name(b),
	    out);
}

/* Keys of all kinds: one of a byte, binary, with a common beginning, long. */
struct kv_slice
state_key(unsigned k, char to[KV_KEY_MAX])
{
	int n;

	switch (k % 4) {
	case 0:
		n = snprintf(to, KV_KEY_MAX, "key:%06u", k);
		return (struct kv_slice){ to, (size_t)n };
	case 1:
		to[0] = (char)k;
		return (struct kv_slice){ to, 1 };
	case 2:
		memset(to, 0, 8);
		to[2] = (char)k;
		return (struct kv_slice){ to, 2 + k % 5 + 1 };
	default:
		memset(to, 'x', KV_KEY_MAX);
		to[KV_KEY_MAX - 1 - k % 3] = (char)k;
		return (struct kv_slice){ to, KV_KEY_MAX };
	}
}

void
state_value(const struct model_key *k, struct buf *to)
{
	uint64_t x = k->value | 1;
	size_t i;

	to->len = 0;
	EXPECT(buf_reserve(to, k->len + 8) == KV_OK);
	for (i = 0; i < k->len; i += 8) {
		uint64_t word = rng_next(&x);

		memcpy(to->data + i, &word, 8);
	}
	to->len = k->len;
}

/* ---- the place ---- */

struct model_shared *
model_new(void)
{
	struct model_shared *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *seed = getenv("KV_SEED");

	EXPECT(m != MAP_FAILED);
	log_init("test", LOG_LEVEL_ERROR);
	m->seed = seed != NULL ? strtoull(seed, NULL, 10) : rng_u64() | 1;
	printf("seed %llu (KV_SEED)\n", (unsigned long long)m->seed);
	fflush(stdout);
	snprintf(m->dir, sizeof(m->dir), "/tmp/kv-test-engine.XXXXXX");
	snprintf(m->shm, sizeof(m->shm), "/dev/shm/kv-test-engine.XXXXXX");
	EXPECT(mkdtemp(m->dir) != NULL && mkdtemp(m->shm) != NULL);
	return m;
}

static void
model_run(const char *command, const char *folder, const char *rest)
{
	char line[256];

	snprintf(line, sizeof(line), "%s %s%s", command, folder, rest);
	EXPECT(system(line) == 0);
}

void
model_free(struct model_shared *m)
{
	model_run("rm -rf", m->dir, "");
	model_run("rm -rf", m->shm, "");
	munmap(m, sizeof(*m));
}

struct model_shared *model;

int
model_set_up(void **state)
{
	(void)state;
	model = model_new();
	return 0;
}

int
model_tear_down(void **state)
{
	(void)state;
	model_free(model);
	return 0;
}

void
model_cut_power(struct model_shared *m)
{
	model_run("rm -rf", m->shm, "/*");
}

struct engine *
model_open(struct model_shared *m, enum engine_durability durability)
{
	const struct engine_options o = { .dir = m->dir,
		.shm_dir = m->shm,
		.segment_size = SEGMENT,
		.map_size = 1ull << 30,
		.retention_ms = 1000ull * 3600 * 24 * 365,
		.durability = durability,
		.role = ROLE_LIBRARY };
	struct engine *e = NULL;

	EXPECT(engine_open(&o, &e) == KV_OK);
	return e;
}

static void
model_print(void *user, const char *line)
{
	(void)user;
	fprintf(stderr, "verify: %s\n", line);
}

int
model_findings(struct engine *e)
{
	return engine_verify(e, model_print, NULL, NULL);
}

/* ---- the roles ---- */

void
model_maintain(struct model_shared *m, struct engine *e, bool all)
{
	unsigned newest = m->newest;
	int sleep_ms = 0, rc;

	EXPECT(maintain_take(e, ROLE_WALWRITER, true) == KV_OK);
	EXPECT(maintain_take(e, ROLE_CHECKPOINTER, true) == KV_OK);
	EXPECT(writer_flush(e) == KV_OK);
	m->durable = newest;
	do
		rc = checkpoint_step(e, all, &sleep_ms);
	while (rc == KV_OK && sleep_ms == 0);
	EXPECT(rc == KV_OK);
	EXPECT(engine_trouble(e) == 0);
	/* A sweep appends. */
	EXPECT(writer_flush(e) == KV_OK);
	maintain_leave(e, ROLE_CHECKPOINTER);
	maintain_leave(e, ROLE_WALWRITER);
}

/* ---- changes ---- */

struct change {
	struct model_shared *m;
	struct engine *e;
	struct model *to;
	struct buf value;
};

static void
change_key(struct change *c, unsigned b)
{
	struct model_shared *m = c->m;
	unsigned k = model_random(m, MODEL_KEYS);
	struct model_key *key = &c->to->buckets[b].keys[k];
	const struct bucket *bucket;
	uint64_t now = engine_now_ms(c->e);
	char text[KV_KEY_MAX];
	struct kv_slice name = state_key(k, text);

	EXPECT(model_bucket(c->e, b, &bucket) == KV_OK);
	if (model_random(m, 4) == 0) {
		EXPECT(engine_delete(c->e, bucket, name) == KV_OK);
		*key = (struct model_key){ false, 0, 0, 0 };
		return;
	}
	*key = (struct model_key){ true, model_random(m, 1u << 30),
		model_random(m, model_random(m, 10) == 0 ? VALUE_MAX : 200),
		0 };
	switch (model_random(m, 8)) {
	case 0:
		key->deadline = now - 1 + model_random(m, 40);
		break;
	case 1:
		key->deadline = now + 1000 * 3600;
		break;
	default:
		break;
	}
	state_value(key, &c->value);
	EXPECT(engine_put(c->e, bucket, name, buf_slice(&c->value),
		   key->deadline) == KV_OK);
}

static void
change_one(struct change *c)
{
	unsigned b = model_random(c->m, MODEL_BUCKETS);
	struct model_bucket *bucket = &c->to->buckets[b];
	enum scope scope = model_bucket_scope(b);
	uint32_t options = scope == SCOPE_LOCAL ? BUCKET_LOCAL : 0;

	if (!bucket->live || model_random(c->m, 200) == 0) {
		if (model_random(c->m, 2))
			options |= BUCKET_STAYS;
		EXPECT(engine_create_in(c->e, scope, model_bucket_name(b),
			   options) == KV_OK);
		bucket->live = true;
	} else if (model_random(c->m, 200) == 0) {
		EXPECT(
		    engine_drop_in(c->e, scope, model_bucket_name(b)) == KV_OK);
		memset(bucket, 0, sizeof(*bucket));
	} else
		change_key(c, b);
}

static int
change_batch(struct change *c)
{
	unsigned n = 1 + model_random(c->m, 12);
	uint64_t end = 0;
	size_t staged;
	int rc;

	EXPECT(engine_refresh(c->e) == KV_OK);
	while (n-- > 0)
		change_one(c);
	staged = engine_staged(c->e);
	c->m->attempt = c->m->newest + 1;
	if ((rc = engine_commit(c->e, &end)) == KV_OK) {
		EXPECT((end != 0) == (staged != 0));
		c->m->newest = c->m->attempt;
	} else
		c->m->attempt = c->m->newest;
	engine_release(c->e);
	engine_kick(c->e);
	return rc;
}

void
model_commit(struct model_shared *m, struct engine *e)
{
	struct change c = { .m = m, .e = e };
	int rc;

	if (m->newest - m->durable >= MODEL_STEPS - 4)
		model_maintain(m, e, false);
	c.to = &m->steps[(m->newest + 1) % MODEL_STEPS];
	do {
		*c.to = m->steps[m->newest % MODEL_STEPS];
		rc = change_batch(&c);
		EXPECT(rc == KV_OK || rc == KV_EAGAIN);
		if (rc == KV_EAGAIN)
			model_maintain(m, e, false);
	} while (rc != KV_OK);
	buf_fini(&c.value);
}
