/* SPDX-License-Identifier: ISC */
/* What a store holds, compared with what was done to it.
 *
 *	state tcp PORT STATE		read all keys through a worker
 *	state dir DIR STATE		open the store itself, read, verify, write
 *	state check TRACE CUT LOST_MS STATE BASE
 *
 * check takes the operations of the trace before event CUT and says what is
 * wrong with STATE.  BASE (or "-") is what there was before the trace.  LOST_MS:
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

#include <kv.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

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
state_write(const char *path)
{
	FILE *f = fopen(path, "wb");

	found.magic = STATE_MAGIC;
	if (f == NULL || fwrite(&found, sizeof(found), 1, f) != 1 ||
	    fclose(f) != 0) {
		perror(path);
		return 1;
	}
	return 0;
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

/* ---- through a worker ---- */

static FILE *
tcp_open(const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { 30, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return NULL;
	return fdopen(fd, "r+");
}

/* A line without its end; NULL when none came. */
static char *
tcp_line(FILE *f, size_t *len)
{
	static char *line;
	static size_t room;
	ssize_t n = getline(&line, &room, f);

	if (n < 2)
		return NULL;
	*len = (size_t)n - 2;
	line[*len] = '\0';
	return line;
}

static int
tcp_send_all(const char *port, unsigned bucket)
{
	char name[16];
	unsigned key;
	FILE *f;
	int rc = 0;

	if ((f = tcp_open(port)) == NULL)
		return -1;
	bucket_name(bucket, name);
	for (key = 0; key < keys_of(bucket) && rc == 0; key++) {
		char *value;
		size_t len;

		fprintf(f, "GET %s k%u\r\n", name, key);
		if (key % 32 != 31 && key + 1 < keys_of(bucket))
			continue;
		fflush(f);
		for (key -= key % 32; rc == 0; key++) {
			if ((value = tcp_line(f, &len)) == NULL) {
				rc = -1;
				break;
			}
			if (strcmp(value, "NOT FOUND") == 0) {
				fclose(f);
				return 0;
			}
			found.exists[bucket] = 1;
			found.values[bucket][key] = len == 0
			    ? VALUE_ABSENT
			    : value_number(bucket, value, len);
			if (tcp_line(f, &len) == NULL)
				rc = -1;
			if (key % 32 == 31 || key + 1 == keys_of(bucket))
				break;
		}
	}
	fclose(f);
	return rc;
}

static int
tcp_counters(const char *port)
{
	FILE *f = tcp_open(port);
	unsigned i;
	size_t len;

	if (f == NULL)
		return -1;
	for (i = 0; i < COUNTERS; i++) {
		char *text;

		fprintf(f, "*2\r\n$3\r\nGET\r\n$2\r\nc%u\r\n", i);
		fflush(f);
		if ((text = tcp_line(f, &len)) == NULL)
			break;
		if (text[0] != '$' || text[1] == '-')
			continue;
		if ((text = tcp_line(f, &len)) == NULL)
			break;
		found.counters[i] = strtoull(text, NULL, 10);
	}
	fclose(f);
	return i == COUNTERS ? 0 : -1;
}

static int
do_tcp(const char *port, const char *path)
{
	unsigned b;

	for (b = 0; b < BUCKETS; b++)
		if (tcp_send_all(port, b) < 0) {
			printf("port=%s bucket=%u no answer\n", port, b);
			return 1;
		}
	if (tcp_counters(port) < 0) {
		printf("port=%s counters: no answer\n", port);
		return 1;
	}
	return state_write(path);
}

/* ---- through libkv ---- */

static void
on_finding(void *user, const char *line)
{
	(void)user;
	printf("verify: %s\n", line);
	problems++;
}

static int
dir_bucket(struct kv *kv, unsigned bucket)
{
	struct kv_slice value;
	char name[16], key[16];
	uint64_t count, seen = 0;
	unsigned i;
	int rc;

	bucket_name(bucket, name);
	rc = kv_count(kv, kv_text(name), &count);
	if (rc == KV_ENOTFOUND)
		return KV_OK;
	if (rc < 0)
		return rc;
	found.exists[bucket] = 1;
	for (i = 0; i < keys_of(bucket); i++) {
		snprintf(key, sizeof(key), "k%u", i);
		rc = kv_get(kv, kv_text(name), kv_text(key), &value);
		if (rc == KV_ENOTFOUND)
			continue;
		if (rc < 0)
			return rc;
		seen++;
		found.values[bucket][i] =
		    value_number(bucket, value.data, value.len);
	}
	if (seen != count)
		problem("keys counted; this many seen", bucket, 0, count, seen);
	return KV_OK;
}

static int
dir_counters(struct kv *kv)
{
	struct kv_slice value;
	char key[16], text[24];
	unsigned i;
	int rc;

	for (i = 0; i < COUNTERS; i++) {
		snprintf(key, sizeof(key), "c%u", i);
		rc = kv_get(kv, kv_text("db0"), kv_text(key), &value);
		if (rc == KV_ENOTFOUND)
			continue;
		if (rc < 0)
			return rc;
		snprintf(text, sizeof(text), "%.*s", (int)value.len,
		    value.data);
		found.counters[i] = strtoull(text, NULL, 10);
	}
	return KV_OK;
}

/* A store that was recovered must take writes, too. */
static int
dir_write(struct kv *kv)
{
	const struct kv_slice bucket = kv_text("probe"), key = kv_text("p");
	struct kv_slice value;
	int rc;

	if ((rc = kv_create(kv, bucket)) < 0 ||
	    (rc = kv_put(kv, bucket, key, kv_text("1"), 0)) < 0 ||
	    (rc = kv_get(kv, bucket, key, &value)) < 0)
		return rc;
	return value.len == 1 && value.data[0] == '1' ? KV_OK : KV_ECORRUPT;
}

static int
do_dir(const char *dir, const char *path)
{
	struct kv_options options = { .must_exist = true };
	struct kv *kv = NULL;
	unsigned b;
	int rc;

	kv_log("state", 1);
	if ((rc = kv_open(dir, &options, &kv)) < 0) {
		printf("kv_open: %s\n", kv_error(rc));
		return rc == KV_ENOTFOUND ? 3 : 1;
	}
	for (b = 0; rc == KV_OK && b < BUCKETS; b++)
		rc = dir_bucket(kv, b);
	if (rc == KV_OK)
		rc = dir_counters(kv);
	if (rc == KV_OK && (rc = kv_verify(kv, on_finding, NULL, NULL)) > 0)
		rc = KV_OK;
	if (rc == KV_OK)
		rc = dir_write(kv);
	if (rc == KV_OK && (rc = kv_verify(kv, on_finding, NULL, NULL)) > 0)
		rc = KV_OK;
	kv_close(kv);
	if (rc < 0)
		printf("reading the store: %s\n", kv_error(rc));
	return rc < 0 || problems > 0 ? 1 : state_write(path);
}

/* ---- comparing ---- */

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
			operation_count =
			    t->events[n].file - first_number + 1;
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
			kill_unanswered(e->who, &last[e->who], sent,
			    n + 1);
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
			problem("two increments gave the same",
			    COUNTER_BUCKET, i, values[v], 0);
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

static int
do_check(char **argv)
{
	struct trace t;
	uint64_t *values;
	unsigned i;

	if (trace_map(argv[0], &t) < 0 || state_read(argv[3], &found) < 0)
		return 2;
	if (strcmp(argv[4], "-") != 0 && state_read(argv[4], &base) < 0)
		return 2;
	if (t.header->full) {
		printf("the trace is full\n");
		return 2;
	}
	cut = strtoull(argv[1], NULL, 10);
	if (cut > trace_count(&t))
		cut = trace_count(&t);
	horizon = horizon_of(&t, strtol(argv[2], NULL, 10));
	ordered = strcmp(argv[2], "-1") != 0;
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
		printf("cut=%" PRIu64 " horizon=%" PRIu64 " newest_sent=%" PRIu64
		       " problems=%" PRIu64 "\n",
		    cut, horizon, newest_sent, problems);
	return problems > 0;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "tcp") == 0)
		return do_tcp(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "dir") == 0)
		return do_dir(argv[2], argv[3]);
	if (argc == 7 && strcmp(argv[1], "check") == 0)
		return do_check(argv + 2);
	fprintf(stderr, "state tcp|dir|check ...\n");
	return 2;
}
