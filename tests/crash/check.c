/* SPDX-License-Identifier: ISC */
/* Compares what a store was found to hold with what was done to it.
 *
 *	check TRACE CUT LOST_MS STATE BASE
 *
 * Takes the operations of the trace before event CUT and says what is wrong with
 * STATE.  BASE (or "-") is what there was before the trace.  LOST_MS:
 * acknowledgements of the last so many milliseconds before the cut may be gone,
 * 0: none, -1: all of them.  But for -1, where nothing is promised, what is there
 * must be a prefix: who sees a write sees everything that was acknowledged before
 * that write was sent.
 *
 * How: a version of a key is out of date from the moment on at which another
 * write of the key was acknowledged that was sent after the first one was
 * acknowledged, or later over the same connection.  The version found must have
 * been good at the cut (or LOST_MS earlier), and at the moment at which the
 * newest version found anywhere was sent. */

#include "history.h"

#define NEVER UINT64_MAX
#define CONNECTIONS 64

static struct state found, base;
static uint64_t problems;

static void
problem(const char *what, unsigned bucket, unsigned key, uint64_t value,
    uint64_t when)
{
	if (problems++ < 10)
		printf("bucket=%u key=%u found=%" PRIu64 " at=%" PRIu64 " %s\n",
		    bucket, key, value, when, what);
}

static int
state_read(const char *path, struct state *to)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL)
		return -1;
	n = fread(to, sizeof(*to), 1, f);
	fclose(f);
	return n == 1 && to->magic == STATE_MAGIC ? 0 : -1;
}

struct operation {
	uint64_t number;
	uint64_t sent, ended; /* events; NEVER */
	uint32_t who;
	enum kind kind;
	bool acked; /* with OK */
	bool void_; /* refused: it did nothing */
	uint64_t counter;
	uint64_t place;
	struct operation *next; /* of the same key, later ones first */
};

static struct operation *operations;
static uint64_t operation_count, first_number;
static struct operation *by_key[BUCKETS][KEYS_MAX];
static struct operation *by_bucket[BUCKETS]; /* CREATE, DROP */
static uint64_t cut, horizon;
static bool ordered;	     /* must be a prefix */
static uint64_t newest_sent; /* of what was found, if so */

static struct operation *
operation_of(uint64_t number)
{
	if (operation_count == 0 || number < first_number ||
	    number >= first_number + operation_count)
		return NULL;
	return &operations[number - first_number];
}

static void
enter(const struct trace_event *e, uint64_t n)
{
	unsigned bucket = (unsigned)(e->offset >> 32);
	unsigned key = (unsigned)e->offset;
	struct operation *o = operation_of(e->file), **list;

	if (o == NULL)
		return;
	*o = (struct operation){ .number = e->file,
		.sent = n,
		.ended = NEVER,
		.who = e->who,
		.kind = (enum kind)e->aux,
		.place = e->offset };
	if (o->kind == KIND_INCR)
		return;
	list = o->kind == KIND_PUT || o->kind == KIND_DELETE
	    ? &by_key[bucket][key]
	    : &by_bucket[bucket];
	o->next = *list;
	*list = o;
}

static void
end(struct operation *o, const struct trace_event *e, uint64_t n)
{
	o->ended = n;
	o->acked = e->aux == RESULT_OK;
	o->void_ = e->aux == RESULT_NOT_FOUND;
	o->counter = e->len;
}

/* A connection ended: what it was not answered will not happen any more. */
static void
kill_unanswered(uint32_t who, uint64_t *from, uint64_t to, uint64_t n)
{
	for (; *from < to; (*from)++) {
		struct operation *o = &operations[*from];

		if (o->sent != 0 && o->who == who && o->ended == NEVER)
			o->ended = n;
	}
}

static int
read_trace(const struct trace *t)
{
	uint64_t n, count = trace_count(t), last[CONNECTIONS] = { 0 };
	uint64_t sent = 0;

	first_number = NEVER;
	for (n = 0; n < count && n < cut; n++)
		if (t->events[n].type == TRACE_SENT) {
			if (first_number == NEVER)
				first_number = t->events[n].file;
			operation_count = t->events[n].file - first_number + 1;
		}
	operations = calloc(operation_count + 1, sizeof(*operations));
	if (operations == NULL)
		return -1;
	for (n = 0; n < count && n < cut; n++) {
		const struct trace_event *e = &t->events[n];
		struct operation *o;

		if (e->type == TRACE_SENT) {
			enter(e, n + 1);
			sent = e->file - first_number + 1;
		} else if (e->type == TRACE_ACKED &&
		    (o = operation_of(e->file)) != NULL)
			end(o, e, n + 1);
		else if (e->type == TRACE_DEAD && e->who < CONNECTIONS)
			kill_unanswered(e->who, &last[e->who], sent, n + 1);
	}
	return 0;
}

static bool
is_after(const struct operation *later, uint64_t sent, uint64_t ended,
    uint32_t who)
{
	return later->sent > ended || (later->who == who && later->sent > sent);
}

/* When a version went out of date through one of these operations. */
static uint64_t
good_until(const struct operation *list, const struct operation *drops,
    uint64_t sent, uint64_t ended, uint32_t who)
{
	uint64_t until = NEVER;
	const struct operation *o;

	for (o = list; o != NULL; o = o->next)
		if (o->acked && o->ended < until &&
		    is_after(o, sent, ended, who))
			until = o->ended;
	for (o = drops; o != NULL; o = o->next)
		if (o->kind == KIND_DROP && o->acked && o->ended < until &&
		    is_after(o, sent, ended, who))
			until = o->ended;
	return until;
}

/* The best that any operation of a kind in the list can say for itself. */
static uint64_t
best_of(const struct operation *list, const struct operation *drops,
    enum kind kind, const struct operation *of, uint64_t best)
{
	for (; of != NULL; of = of->next)
		if (of->kind == kind && !of->void_) {
			uint64_t until = good_until(list, drops, of->sent,
			    of->ended, of->who);

			if (until > best)
				best = until;
		}
	return best;
}

static uint64_t
value_good_until(unsigned bucket, unsigned key)
{
	const struct operation *list = by_key[bucket][key];
	const struct operation *drops = by_bucket[bucket], *o;
	uint64_t value = found.values[bucket][key];
	uint64_t first = base.values[bucket][key] == value
	    ? good_until(list, drops, 0, 0, UINT32_MAX)
	    : 0;

	if (value == VALUE_ABSENT) {
		first = best_of(list, drops, KIND_DELETE, list, first);
		return best_of(list, drops, KIND_DROP, drops, first);
	}
	if ((o = operation_of(value)) == NULL)
		return first;
	if (o->sent == 0 || o->place != place_of(bucket, key) || o->void_)
		return 0;
	if (ordered && o->sent > newest_sent)
		newest_sent = o->sent;
	return good_until(list, drops, o->sent, o->ended, o->who);
}

static void
check_keys(void)
{
	static uint64_t until[BUCKETS][KEYS_MAX];
	unsigned b, k;

	for (b = 0; b < BUCKETS; b++)
		for (k = 0; k < keys_of(b); k++)
			until[b][k] = found.values[b][k] == VALUE_DAMAGED
			    ? 0
			    : value_good_until(b, k);
	for (b = 0; b < BUCKETS; b++)
		for (k = 0; k < keys_of(b); k++) {
			uint64_t value = found.values[b][k];

			if (value == VALUE_DAMAGED)
				problem("damaged value", b, k, value, 0);
			else if (until[b][k] == 0)
				problem("never written", b, k, value, 0);
			else if (until[b][k] <= horizon)
				problem("lost an acknowledged write", b, k,
				    value, until[b][k]);
			else if (until[b][k] < newest_sent)
				problem("not a prefix", b, k, value,
				    until[b][k]);
		}
}

/* The same for a bucket's being there (CREATE) or not (DROP). */
static uint64_t
bucket_good_until(const struct operation *list, enum kind is, uint64_t sent,
    uint64_t ended, uint32_t who)
{
	uint64_t until = NEVER;
	const struct operation *o;

	for (o = list; o != NULL; o = o->next)
		if (o->kind != is && o->acked && o->ended < until &&
		    is_after(o, sent, ended, who))
			until = o->ended;
	return until;
}

static void
check_bucket(unsigned bucket)
{
	const struct operation *list = by_bucket[bucket], *o;
	enum kind is = found.exists[bucket] ? KIND_CREATE : KIND_DROP;
	uint64_t best = 0;

	if (found.exists[bucket] == base.exists[bucket])
		best = bucket_good_until(list, is, 0, 0, UINT32_MAX);
	for (o = list; o != NULL; o = o->next)
		if (o->kind == is && !o->void_) {
			uint64_t until = bucket_good_until(list, is, o->sent,
			    o->ended, o->who);

			if (until > best)
				best = until;
		}
	if (best <= horizon || best < newest_sent)
		problem("the bucket is there or not, wrongly", bucket, 0,
		    found.exists[bucket], best);
}

static int
compare_counters(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
check_counter(unsigned i, uint64_t *values)
{
	uint64_t sent = 0, n = 0, v, count;

	for (count = 0; count < operation_count; count++) {
		const struct operation *o = &operations[count];

		if (o->sent == 0 || o->kind != KIND_INCR ||
		    o->place != place_of(COUNTER_BUCKET, i))
			continue;
		sent++;
		if (!o->acked)
			continue;
		values[n++] = o->counter;
		if (o->counter > found.counters[i] &&
		    (o->ended <= horizon || o->ended < newest_sent))
			problem("lost an increment", COUNTER_BUCKET, i,
			    found.counters[i], o->counter);
	}
	if (found.counters[i] > base.counters[i] + sent)
		problem("more increments than were sent", COUNTER_BUCKET, i,
		    found.counters[i], base.counters[i] + sent);
	qsort(values, n, sizeof(*values), compare_counters);
	for (v = 1; v < n; v++)
		if (values[v] == values[v - 1])
			problem("two increments gave the same", COUNTER_BUCKET,
			    i, values[v], 0);
}

static uint64_t
horizon_of(const struct trace *t, long lost_ms)
{
	uint64_t n = cut, at;

	if (lost_ms == 0)
		return cut;
	if (lost_ms < 0 || n == 0)
		return 0;
	at = t->events[n - 1].time_ns - (uint64_t)lost_ms * 1000000u;
	while (n > 0 && t->events[n - 1].time_ns > at)
		n--;
	return n;
}

int
main(int argc, char **argv)
{
	struct trace t;
	uint64_t *values;
	unsigned i;

	if (argc != 6) {
		fprintf(stderr, "check TRACE CUT LOST_MS STATE BASE\n");
		return 2;
	}
	if (trace_map(argv[1], &t) < 0 || state_read(argv[4], &found) < 0)
		return 2;
	if (strcmp(argv[5], "-") != 0 && state_read(argv[5], &base) < 0)
		return 2;
	if (t.header->full) {
		printf("the trace is full\n");
		return 2;
	}
	cut = strtoull(argv[2], NULL, 10);
	if (cut > trace_count(&t))
		cut = trace_count(&t);
	horizon = horizon_of(&t, strtol(argv[3], NULL, 10));
	ordered = strcmp(argv[3], "-1") != 0;
	if (read_trace(&t) < 0)
		return 2;
	check_keys();
	for (i = 0; i < BUCKETS; i++)
		check_bucket(i);
	if ((values = calloc(operation_count + 1, sizeof(*values))) == NULL)
		return 2;
	for (i = 0; i < COUNTERS; i++)
		check_counter(i, values);
	free(values);
	if (problems > 0)
		printf("cut=%" PRIu64 " horizon=%" PRIu64
		       " newest_sent=%" PRIu64 " problems=%" PRIu64 "\n",
		    cut, horizon, newest_sent, problems);
	return problems > 0;
}
