/* SPDX-License-Identifier: ISC */
/* Calls: each ends once, with the whole answer or a reason. */

#include "agent.h"
#include "base/bytes.h"
#include "world.h"

#define DEADLINE_MS 5000u
#define ANSWER_MAX 100000u

static struct agent_ask *
find_ask(struct agent *a, uint64_t id)
{
	struct agent_ask *k = a->asks;

	while (k < a->asks + AGENT_ASKS && k->id != id)
		k++;
	if (k < a->asks + AGENT_ASKS)
		return k;
	if (id != 0)
		ghost_violation(&a->w->ghost, GHOST_SERVICE,
		    "n%u: an answer to no call, or after its end", a->node);
	return NULL;
}

static char
answer_byte(unsigned total, unsigned at)
{
	return (char)(at * 31 + total + (at >> 8));
}

void
agent_answer(void *user, uint64_t id, struct kv_slice bytes)
{
	struct agent *a = user;
	struct agent_ask *k = find_ask(a, id);
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; i < bytes.len; i++) {
		if (k->got + i >= k->total ||
		    bytes.data[i] !=
			answer_byte(k->total, k->got + (unsigned)i)) {
			ghost_violation(&a->w->ghost, GHOST_SERVICE,
			    "n%u: another answer than was given", a->node);
			break;
		}
	}
	k->got += (unsigned)bytes.len;
	k->untaken += (unsigned)bytes.len;
	a->w->node[a->node].timer_ms = a->w->now_ms;
}

void
agent_answered(void *user, uint64_t id, enum services_end end,
    struct kv_slice why)
{
	struct agent *a = user;
	struct agent_ask *k = find_ask(a, id);

	(void)why;
	if (k == NULL)
		return;
	a->w->counts.answers += end == CALL_DONE;
	if (end == CALL_DONE && k->got != k->total)
		ghost_violation(&a->w->ghost, GHOST_SERVICE,
		    "n%u: %u bytes of an answer of %u, and it is whole",
		    a->node, k->got, k->total);
	*k = (struct agent_ask){ 0 };
}

bool
agent_call(struct world *w, unsigned x, unsigned p)
{
	struct agent *a = &w->node[x].agent;
	struct agent_ask *k = a->asks;
	struct kv_slice argv[] = { { "L", 1 }, { "echo", 4 }, { NULL, 4 } };
	struct services_request r = { w->node[p].name, argv, 3,
		1 + world_random(w, DEADLINE_MS) };
	char total[4];

	if (a->services == NULL || x == p)
		return false;
	while (k < a->asks + AGENT_ASKS && k->id != 0)
		k++;
	if (k == a->asks + AGENT_ASKS)
		return false;
	*k = (struct agent_ask){ .total = world_random(w, 4) == 0
		    ? world_random(w, ANSWER_MAX)
		    : world_random(w, 100) };
	bytes_put_be32(total, k->total);
	argv[2].data = total;
	w->node[x].timer_ms = w->now_ms;
	return services_ask(a->services, &r, w->now_ms + 1000 * x, &k->id) ==
	    KV_OK;
}

static struct agent_job *
find_job(struct agent *a, uint64_t id)
{
	struct agent_job *j = a->jobs;

	while (j < a->jobs + AGENT_JOBS && j->id != id)
		j++;
	return j < a->jobs + AGENT_JOBS ? j : NULL;
}

/* As much of the answer as may be given now. */
static void
work_on(struct agent *a, struct agent_job *j)
{
	char bytes[1024];
	unsigned n, i;
	size_t room;

	while (j->id != 0 && (room = services_room(a->services, j->id)) > 0) {
		n = j->total - j->sent;
		n = n < sizeof(bytes) ? n : (unsigned)sizeof(bytes);
		n = n < room ? n : (unsigned)room;
		for (i = 0; i < n; i++)
			bytes[i] = answer_byte(j->total, j->sent + i);
		if (n > 0 &&
		    services_reply(a->services, j->id,
			(struct kv_slice){ bytes, n }) < 0)
			ghost_violation(&a->w->ghost, GHOST_SERVICE,
			    "n%u: an answer with room was refused", a->node);
		j->sent += n;
		if (j->sent < j->total)
			continue;
		services_finish(a->services, j->id, REPLY_OK, "");
		j->id = 0;
	}
}

void
agent_run(void *user, uint64_t job, const char *from,
    const struct kv_slice *argv, size_t argc, uint32_t deadline_ms)
{
	struct agent *a = user;
	struct agent_job *j = find_job(a, 0);

	(void)deadline_ms;
	if (argc != 3 || argv[2].len != 4)
		ghost_violation(&a->w->ghost, GHOST_SERVICE,
		    "n%u: %s asked for something else", a->node, from);
	else if (j == NULL)
		services_finish(a->services, job, REPLY_FAILED, "too many");
	else
		*j = (struct agent_job){ job, bytes_get_be32(argv[2].data), 0 };
}

void
agent_job_stop(void *user, uint64_t job)
{
	struct agent_job *j = find_job(user, job);

	if (j != NULL)
		j->id = 0;
}

void
agent_room(void *user, uint64_t job)
{
	struct agent *a = user;

	(void)job;
	a->w->node[a->node].timer_ms = a->w->now_ms;
}

void
agent_work(struct agent *a)
{
	struct agent_job *j;
	struct agent_ask *k;

	for (j = a->jobs; j < a->jobs + AGENT_JOBS; j++)
		work_on(a, j);
	for (k = a->asks; k < a->asks + AGENT_ASKS; k++) {
		/* A client may take its time. */
		if (k->untaken == 0 || world_random(a->w, 4) == 0)
			continue;
		services_taken(a->services, k->id, k->untaken);
		k->untaken = 0;
	}
}
