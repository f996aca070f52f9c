/* SPDX-License-Identifier: ISC */
/* Limits for strangers: seats, buckets, penalties. */

#include "sync/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN, KNOWN };

/* Tokens in thousandths, so that rate times milliseconds is exact. */
struct bucket_of_tokens {
	uint64_t tokens;
	uint64_t filled_ms;
	uint32_t rate;
	uint32_t burst;
};

enum seat_state { SEAT_FREE, SEAT_WAITS, SEAT_GUESSES };

struct seat {
	struct limits_address source; /* masked */
	uint64_t since_ms;
	uint8_t state; /* of enum seat_state */
	bool is_known;
};

/* What is remembered of a source; used_ms 0 means a free entry. */
struct source {
	struct limits_address address; /* masked */
	uint64_t used_ms;
	uint64_t known_until_ms;
	uint64_t penalty_until_ms;
	uint32_t penalty_ms; /* of the last failure, doubles */
};

struct limits {
	struct seat seats[LIMITS_SEATS];
	struct bucket_of_tokens m1[2]; /* UNKNOWN, KNOWN */
	struct bucket_of_tokens guesses;
	uint64_t counts[LIMITS_ANSWER_COUNT];
	struct source sources[LIMITS_SOURCES];
};

static void
bucket_init(struct bucket_of_tokens *b, uint32_t rate, uint32_t burst,
    uint64_t now_ms)
{
	*b = (struct bucket_of_tokens){ burst * 1000ull, now_ms, rate, burst };
}

/* Fill up for the time gone by, then take one if there is one. */
static bool
bucket_take(struct bucket_of_tokens *b, uint64_t now_ms)
{
	uint64_t most = b->burst * 1000ull;
	uint64_t gone = now_ms > b->filled_ms ? now_ms - b->filled_ms : 0;

	/* Capped before it is multiplied: gone may be anything. */
	if (gone > most)
		gone = most;
	b->tokens += gone * b->rate;
	if (b->tokens > most)
		b->tokens = most;
	b->filled_ms = now_ms;
	if (b->tokens < 1000)
		return false;
	b->tokens -= 1000;
	return true;
}

static void
bucket_give_back(struct bucket_of_tokens *b)
{
	if (b->tokens + 1000 <= b->burst * 1000ull)
		b->tokens += 1000;
}

/* One IPv4 address, or the /64 that one IPv6 host usually has to itself. */
static struct limits_address
mask(const struct limits_address *a)
{
	static const uint8_t v4[12] = { [10] = 0xff, [11] = 0xff };
	struct limits_address m = *a;

	if (memcmp(m.bytes, v4, sizeof(v4)) != 0)
		memset(m.bytes + 8, 0, 8);
	return m;
}

static bool
is_same(const struct limits_address *a, const struct limits_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct source *
find(struct limits *l, const struct limits_address *masked)
{
	size_t i;

	for (i = 0; i < LIMITS_SOURCES; i++)
		if (l->sources[i].used_ms != 0 &&
		    is_same(&l->sources[i].address, masked))
			return &l->sources[i];
	return NULL;
}

/* Known sources are kept while there is another to drop, so that a flood of
 * strangers does not make strangers of the peers; then the longest unused. */
static bool
goes_before(const struct source *a, const struct source *b, uint64_t now_ms)
{
	bool a_known = a->known_until_ms > now_ms;
	bool b_known = b->known_until_ms > now_ms;

	if (a_known != b_known)
		return b_known;
	return a->used_ms < b->used_ms;
}

static struct source *
find_or_add(struct limits *l, const struct limits_address *masked,
    uint64_t now_ms)
{
	struct source *s = find(l, masked);
	size_t i;

	if (s == NULL) {
		s = &l->sources[0];
		for (i = 1; i < LIMITS_SOURCES; i++)
			if (goes_before(&l->sources[i], s, now_ms))
				s = &l->sources[i];
		memset(s, 0, sizeof(*s));
		s->address = *masked;
	}
	s->used_ms = now_ms > 0 ? now_ms : 1;
	return s;
}

int
limits_new(uint64_t now_ms, struct limits **out)
{
	struct limits *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return KV_ENOMEM;
	bucket_init(&l->m1[UNKNOWN], LIMITS_M1_RATE, LIMITS_M1_BURST, now_ms);
	bucket_init(&l->m1[KNOWN], LIMITS_M1_RATE, LIMITS_M1_BURST, now_ms);
	bucket_init(&l->guesses, LIMITS_GUESS_RATE, LIMITS_GUESS_BURST, now_ms);
	*out = l;
	return KV_OK;
}

void
limits_free(struct limits *l)
{
	free(l);
}

void
limits_know(struct limits *l, const struct limits_address *a, uint64_t now_ms,
    uint64_t until_ms)
{
	struct limits_address masked = mask(a);
	struct source *s = find_or_add(l, &masked, now_ms);

	if (until_ms > s->known_until_ms)
		s->known_until_ms = until_ms;
}

static enum limits_answer
answer(struct limits *l, enum limits_answer a)
{
	l->counts[a]++;
	return a;
}

/* A free seat, unless the source has too many already.  Some are kept for
 * known sources: strangers who sit still must not lock the peers out. */
static enum limits_answer
find_seat(const struct limits *l, const struct limits_address *masked,
    bool is_known, unsigned *seat)
{
	unsigned i, same = 0, strangers = 0, free_seat = LIMITS_SEATS;

	for (i = 0; i < LIMITS_SEATS; i++) {
		const struct seat *s = &l->seats[i];

		if (s->state == SEAT_FREE) {
			free_seat = i;
			continue;
		}
		same += is_same(&s->source, masked);
		strangers += !s->is_known;
	}
	if (same >= LIMITS_SEATS_EACH)
		return LIMITS_SOURCE;
	if (free_seat == LIMITS_SEATS ||
	    (!is_known && strangers >= LIMITS_SEATS_UNKNOWN))
		return LIMITS_FULL;
	*seat = free_seat;
	return LIMITS_ALLOW;
}

enum limits_answer
limits_enter(struct limits *l, const struct limits_address *a, uint64_t now_ms,
    unsigned *seat)
{
	struct limits_address masked = mask(a);
	const struct source *s = find(l, &masked);
	bool is_known = s != NULL && s->known_until_ms > now_ms;
	enum limits_answer found;

	if (s != NULL && s->penalty_until_ms > now_ms)
		return answer(l, LIMITS_PENALTY);
	if ((found = find_seat(l, &masked, is_known, seat)) != LIMITS_ALLOW)
		return answer(l, found);
	l->seats[*seat] = (struct seat){ .source = masked,
		.since_ms = now_ms,
		.state = SEAT_WAITS,
		.is_known = is_known };
	return answer(l, LIMITS_ALLOW);
}

/* The guess is paid for before the M2 goes out and given back to who proves
 * himself: else all seats could guess at once on the last token. */
enum limits_answer
limits_m1(struct limits *l, unsigned seat, uint64_t now_ms)
{
	struct seat *s = &l->seats[seat];

	assert(s->state == SEAT_WAITS);
	if (now_ms >= limits_deadline(l, seat))
		return LIMITS_LATE; /* limits_leave() counts it */
	if (!bucket_take(&l->m1[s->is_known ? KNOWN : UNKNOWN], now_ms))
		return answer(l, LIMITS_RATE);
	if (!s->is_known && !bucket_take(&l->guesses, now_ms))
		return answer(l, LIMITS_GUESSES);
	s->state = SEAT_GUESSES;
	return LIMITS_ALLOW;
}

void
limits_authenticated(struct limits *l, unsigned seat, uint64_t now_ms)
{
	struct seat *s = &l->seats[seat];
	struct source *from = find_or_add(l, &s->source, now_ms);

	assert(s->state == SEAT_GUESSES);
	if (!s->is_known)
		bucket_give_back(&l->guesses);
	from->penalty_ms = 0;
	from->penalty_until_ms = 0;
	if (from->known_until_ms < now_ms + LIMITS_KNOWN_MS)
		from->known_until_ms = now_ms + LIMITS_KNOWN_MS;
	s->state = SEAT_FREE;
}

/* Of a known source only one node may have the wrong cookie, and others behind
 * the same address the right one: its penalty stays short. */
static void
punish(struct source *s, uint64_t now_ms)
{
	bool is_known = s->known_until_ms > now_ms;

	/* Doubling ends with the longest penalty spent in peace: an address
	 * changes hands. */
	if (s->penalty_ms == 0 || is_known ||
	    now_ms > s->penalty_until_ms + LIMITS_PENALTY_MAX_MS)
		s->penalty_ms = LIMITS_PENALTY_MIN_MS;
	else if (s->penalty_ms < LIMITS_PENALTY_MAX_MS)
		s->penalty_ms *= 2;
	if (s->penalty_ms > LIMITS_PENALTY_MAX_MS)
		s->penalty_ms = LIMITS_PENALTY_MAX_MS;
	s->penalty_until_ms = now_ms + s->penalty_ms;
}

void
limits_leave(struct limits *l, unsigned seat, uint64_t now_ms)
{
	struct seat *s = &l->seats[seat];

	assert(s->state != SEAT_FREE);
	if (now_ms >= limits_deadline(l, seat))
		l->counts[LIMITS_LATE]++;
	if (s->state == SEAT_GUESSES)
		punish(find_or_add(l, &s->source, now_ms), now_ms);
	s->state = SEAT_FREE;
}

uint64_t
limits_deadline(const struct limits *l, unsigned seat)
{
	const struct seat *s = &l->seats[seat];

	assert(s->state != SEAT_FREE);
	return s->since_ms +
	    (s->state == SEAT_WAITS ? LIMITS_M1_MS : LIMITS_HANDSHAKE_MS);
}

int
limits_late(const struct limits *l, uint64_t now_ms)
{
	unsigned i;

	for (i = 0; i < LIMITS_SEATS; i++)
		if (l->seats[i].state != SEAT_FREE &&
		    now_ms >= limits_deadline(l, i))
			return (int)i;
	return -1;
}

uint64_t
limits_count(const struct limits *l, enum limits_answer a)
{
	return l->counts[a];
}

unsigned
limits_seated(const struct limits *l)
{
	unsigned i, n = 0;

	for (i = 0; i < LIMITS_SEATS; i++)
		n += l->seats[i].state != SEAT_FREE;
	return n;
}

const char *
limits_text(enum limits_answer a)
{
	static const char *const texts[] = {
#define X(name, text) [name] = (text),
		LIMITS_ANSWERS(X)
#undef X
	};

	return texts[a];
}
