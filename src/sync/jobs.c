/* SPDX-License-Identifier: ISC */
/* Calls, the side that answers: what peers want run here. */

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "sync/service.h"

/* As many bytes as the arguments may have, and their lengths. */
#define JOB_ARGS_MAX (ITEM_ARGS_BYTES + 2 + 4 * ITEM_ARGS_MAX)

static struct job *
job_find(const struct services *s, uint64_t id)
{
	struct job *j;

	HASH_FIND(hh, s->jobs, &id, sizeof(id), j);
	return j;
}

static struct job *
job_their(struct service_peer *p, uint64_t their)
{
	struct job *j;

	DL_FOREACH(p->jobs, j)
		if (j->their == their)
			return j;
	return NULL;
}

static void
job_free(struct services *s, struct job *j)
{
	DL_DELETE(j->peer->jobs, j);
	j->peer->job_count--;
	assert(s->jobs != NULL); /* it is one of them */
	HASH_DEL(s->jobs, j);
	buf_fini(&j->answer);
	free(j);
}

/* Nobody waits for it any more. */
static void
job_stop(struct services *s, struct job *j)
{
	uint64_t id = j->id;
	bool runs = !j->is_finished;

	job_free(s, j);
	if (runs)
		s->config.ops->stop(s->config.user, id);
}

size_t
services_room(const struct services *s, uint64_t job)
{
	const struct job *j = job_find(s, job);

	return j == NULL || j->is_finished ? 0 : j->credit;
}

int
services_reply(struct services *s, uint64_t job, struct kv_slice bytes)
{
	struct job *j = job_find(s, job);
	int rc;

	if (j == NULL || j->is_finished)
		return KV_ENOTFOUND;
	if (bytes.len > j->credit)
		return KV_ETOOBIG;
	if ((rc = buf_append(&j->answer, bytes.data, bytes.len)) < 0)
		return rc;
	j->credit -= bytes.len;
	if (j->credit == 0)
		j->full_ms = s->now_ms;
	return KV_OK;
}

void
services_finish(struct services *s, uint64_t job, enum frame_reply_class class,
    const char *why)
{
	struct job *j = job_find(s, job);

	if (j == NULL || j->is_finished)
		return;
	j->is_finished = true;
	j->class = (uint8_t) class;
	if (class == REPLY_OK)
		return;
	/* The reason takes the place of what was not sent yet. */
	j->answer.len = 0;
	if (buf_append(&j->answer, why, strlen(why)) < 0)
		j->answer.len = 0;
}

static struct job *
job_new(struct service_peer *p, uint64_t their, uint32_t deadline_ms)
{
	struct services *s = p->services;
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->id = service_id(s);
	j->their = their;
	j->peer = p;
	j->credit = SERVICES_WINDOW;
	j->due_ms = deadline_ms == 0 ? UINT64_MAX : s->now_ms + deadline_ms;
	buf_init(&j->answer);
	DL_APPEND(p->jobs, j);
	p->job_count++;
	HASH_ADD(hh, s->jobs, id, sizeof(j->id), j);
	return j;
}

static int
job_begin(struct service_peer *p, const struct frame_call *call)
{
	struct services *s = p->services;
	struct kv_slice *argv;
	size_t argc = ITEM_ARGS_MAX;
	struct job *j;
	int rc = KV_ENOMEM;

	if (p->job_count >= SERVICES_CALLS || job_their(p, call->id) != NULL)
		return KV_EPROTO;
	if ((argv = malloc(argc * sizeof(*argv))) == NULL)
		return KV_ENOMEM;
	if ((rc = item_get_args(buf_slice(&p->args), argv, &argc)) < 0)
		goto out;
	rc = KV_ENOMEM;
	if ((j = job_new(p, call->id, call->deadline_ms)) == NULL)
		goto out;
	s->config.ops->run(s->config.user, j->id, p->name, argv, argc,
	    call->deadline_ms);
	rc = KV_OK;
out:
	free(argv);
	return rc == KV_ETOOBIG ? KV_EPROTO : rc;
}

/* A call's frames follow each other, so that there is one buffer a peer. */
int
jobs_receive(struct service_peer *p, const struct frame *f)
{
	const struct frame_call *call = &f->u.call;
	int rc;

	if (p->has_args && p->args_of != call->id)
		return KV_EPROTO;
	if (call->bytes.len > JOB_ARGS_MAX - p->args.len)
		return KV_EPROTO;
	if ((rc = buf_append(&p->args, call->bytes.data, call->bytes.len)) < 0)
		return rc;
	p->has_args = true;
	p->args_of = call->id;
	if (call->flags & FRAME_MORE)
		return KV_OK;
	rc = job_begin(p, call);
	p->has_args = false;
	p->args.len = 0;
	buf_shrink(&p->args, 4096);
	return rc;
}

int
jobs_flow(struct service_peer *p, const struct frame *f)
{
	const struct frame_flow *flow = &f->u.flow;
	struct services *s = p->services;
	struct job *j = job_their(p, flow->id);

	if (j == NULL)
		return KV_OK; /* it has ended; our REPLY is on its way */
	if (flow->credit == 0) {
		job_stop(s, j);
		return KV_OK;
	}
	/* Only what was sent can have been taken: else an answer would grow
	 * here for one who reads nothing. */
	if (flow->credit > j->flying)
		return KV_EPROTO;
	j->flying -= flow->credit;
	j->credit += flow->credit;
	if (!j->is_finished)
		s->config.ops->room(s->config.user, j->id);
	return KV_OK;
}

static int
job_send(struct job *j, struct buf *out)
{
	const size_t most = FRAME_MAX - 64;
	size_t n = j->answer.len < most ? j->answer.len : most;
	struct frame f = { .type = FRAME_REPLY };
	int rc;

	f.u.reply.id = j->their;
	f.u.reply.bytes = (struct kv_slice){ j->answer.data, n };
	f.u.reply.class = j->is_finished ? j->class : (uint8_t)REPLY_OK;
	f.u.reply.flags = !j->is_finished || n < j->answer.len ? FRAME_MORE : 0;
	if ((rc = frame_encode(&f, out)) < 0)
		return rc;
	buf_consume(&j->answer, n);
	j->flying += n;
	if (f.u.reply.flags == 0)
		job_free(j->peer->services, j);
	return KV_OK;
}

/* Each in its turn, so that a long answer does not keep others waiting. */
int
jobs_send(struct service_peer *p, struct buf *out)
{
	struct job *j;

	DL_FOREACH(p->jobs, j)
		if (j->answer.len > 0 || j->is_finished)
			break;
	if (j == NULL)
		return KV_EAGAIN;
	DL_DELETE(p->jobs, j);
	DL_APPEND(p->jobs, j);
	return job_send(j, out);
}

/* What is not read keeps others from getting theirs; of a subscription there is
 * only so much as may wait. */
static uint64_t
job_end_ms(const struct job *j)
{
	uint64_t unread_ms = j->full_ms + SERVICES_UNREAD_MS;

	return j->credit == 0 && unread_ms < j->due_ms &&
		j->due_ms != UINT64_MAX
	    ? unread_ms
	    : j->due_ms;
}

static struct job *
job_late(const struct services *s, uint64_t *next_ms)
{
	struct job *j, *next;

	HASH_ITER(hh, s->jobs, j, next) {
		if (j->is_finished)
			continue;
		if (job_end_ms(j) <= s->now_ms)
			return j;
		service_sooner(next_ms, job_end_ms(j));
	}
	return NULL;
}

void
jobs_turn(struct services *s, uint64_t *next_ms)
{
	struct job *j;
	uint64_t id;

	while ((j = job_late(s, next_ms)) != NULL) {
		id = j->id;
		if (j->due_ms > s->now_ms)
			services_finish(s, id, REPLY_FAILED,
			    "its answer is not read");
		else
			services_finish(s, id, REPLY_TIMEOUT,
			    "it did not end within the time limit");
		s->config.ops->stop(s->config.user, id);
	}
}

void
jobs_down(struct service_peer *p)
{
	while (p->jobs != NULL)
		job_stop(p->services, p->jobs);
}
