/* SPDX-License-Identifier: ISC */

/* One epoll loop over all connections. */

#include "load.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"
#include "dial.h"
#include "skip.h"

#define INPUT_BYTES (128u << 10)
#define EVENTS 256
#define STALL_MS 30000

struct conn {
	int fd;
	const struct group *group;
	const struct recipe *recipe;
	char *out;
	size_t out_len, out_sent;
	char *in;
	size_t in_len;
	size_t awaited; /* answers of the batch still to come */
	uint64_t sent_ns;
	bool wants_write;
	struct skip skip;
};

/* A group's requests, ready to copy. */
struct recipe {
	char *text[2];
	size_t len[2], key_at[2];
	unsigned lines;
	unsigned percent; /* of text[0] */
	size_t longest;
};

#define GROUPS_MAX 4

struct run {
	const struct load *load;
	struct outcome *out;
	struct recipe recipes[GROUPS_MAX];
	struct conn *conns;
	unsigned count;
	int epoll;
	struct chance chance;
	uint64_t next_key;
	uint64_t issued;
	uint64_t end_ns;
	unsigned busy; /* connections with a batch under way */
	bool broken;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int
complain(struct run *r, const char *what, const char *why)
{
	if (!r->broken)
		fprintf(stderr, "kv-bench: %s: %s\n", what, why);
	r->broken = true;
	return -1;
}

/* ---- making requests ---- */

static int
prepare(struct recipe *recipe, const struct work *w, size_t value_size)
{
	const struct work *both[2] = { w,
		w->other != NULL ? work_find(w->other) : NULL };
	int i;

	recipe->lines = w->lines;
	recipe->percent = w->other != NULL ? w->percent : 100;
	for (i = 0; i < 2 && both[i] != NULL; i++) {
		recipe->text[i] = work_request(both[i], value_size,
		    &recipe->len[i], &recipe->key_at[i]);
		if (recipe->text[i] == NULL)
			return -1;
		if (recipe->len[i] > recipe->longest)
			recipe->longest = recipe->len[i];
	}
	return 0;
}

static uint64_t
next_key(struct run *r, const struct work *w)
{
	return w->in_order ? r->next_key++
			   : chance_below(&r->chance, r->load->keys);
}

static void
add_request(struct run *r, struct conn *c)
{
	const struct recipe *recipe = c->recipe;
	unsigned i = 0;
	char *to = c->out + c->out_len;

	if (recipe->percent < 100)
		i = chance_below(&r->chance, 100) >= recipe->percent;
	memcpy(to, recipe->text[i], recipe->len[i]);
	if (recipe->key_at[i] != (size_t)-1)
		work_put_key(to + recipe->key_at[i],
		    next_key(r, c->group->work));
	c->out_len += recipe->len[i];
}

/* How many more requests there are to be; background load is for as long as
 * the rest lasts. */
static size_t
allowance(const struct run *r, const struct group *g, uint64_t now)
{
	uint64_t left;

	assert(g != NULL);
	if (r->end_ns != 0 && now >= r->end_ns)
		return 0;
	if (r->load->requests == 0)
		return g->depth;
	left = r->load->requests - r->issued;
	return left < g->depth ? (size_t)left : g->depth;
}

/* ---- sending and receiving ---- */

static int
set_interest(struct run *r, struct conn *c, bool write)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	if (c->wants_write == write)
		return 0;
	c->wants_write = write;
	if (write)
		e.events |= EPOLLOUT;
	return epoll_ctl(r->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static int
push(struct run *r, struct conn *c)
{
	ssize_t n;

	while (c->out_sent < c->out_len) {
		n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent,
		    MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return set_interest(r, c, true);
		if (n < 0 && errno != EINTR)
			return complain(r, "send", strerror(errno));
		if (n > 0)
			c->out_sent += (size_t)n;
	}
	return set_interest(r, c, false);
}

static int
begin_batch(struct run *r, struct conn *c, uint64_t now)
{
	size_t n = allowance(r, c->group, now), i;

	if (n == 0)
		return 0;
	c->out_len = c->out_sent = 0;
	for (i = 0; i < n; i++)
		add_request(r, c);
	c->awaited = n;
	c->sent_ns = now;
	r->issued += n;
	r->busy++;
	return push(r, c);
}

static void
end_batch(struct run *r, struct conn *c, uint64_t now)
{
	r->busy--;
	if (!c->group->is_background)
		hist_add(&r->out->latency, now - c->sent_ns, 1);
}

static void
note_errors(struct run *r, struct conn *c)
{
	if (!c->skip.failed)
		return;
	if (r->out->errors++ == 0)
		memcpy(r->out->error, c->skip.error, sizeof(r->out->error));
	c->skip.failed = false;
}

static int
take_answers(struct run *r, struct conn *c, uint64_t now)
{
	size_t answers = 0, used;

	used = skip_answers(&c->skip, c->in, c->in_len, c->recipe->lines,
	    &answers);
	memmove(c->in, c->in + used, c->in_len - used);
	c->in_len -= used;
	note_errors(r, c);
	if (answers > c->awaited)
		return complain(r, "receive", "more answers than requests");
	c->awaited -= answers;
	r->out->requests += answers;
	if (!c->group->is_background)
		r->out->measured += answers;
	if (answers == 0 || c->awaited > 0)
		return 0;
	end_batch(r, c, now);
	return begin_batch(r, c, now);
}

static int
pull(struct run *r, struct conn *c, uint64_t now)
{
	ssize_t n;

	n = recv(c->fd, c->in + c->in_len, INPUT_BYTES - c->in_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return complain(r, "receive",
		    n == 0 ? "the server closed the connection"
			   : strerror(errno));
	c->in_len += (size_t)n;
	return take_answers(r, c, now);
}

/* ---- a run ---- */

static int
open_conn(struct run *r, struct conn *c, const struct target *t,
    const struct group *g)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	c->group = g;
	c->recipe = &r->recipes[g - r->load->groups];
	c->out = malloc(c->recipe->longest * g->depth);
	c->in = malloc(INPUT_BYTES);
	if (c->out == NULL || c->in == NULL)
		return complain(r, "malloc", strerror(errno));
	if ((c->fd = dial(t, g->work->lines > 0)) < 0)
		return complain(r, t->name, strerror(errno));
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		return complain(r, "epoll_ctl", strerror(errno));
	return 0;
}

static int
open_all(struct run *r, const struct target *t)
{
	const struct load *l = r->load;
	unsigned g, i;

	for (g = 0; g < l->group_count; g++)
		r->count += l->groups[g].connections;
	if ((r->conns = calloc(r->count, sizeof(*r->conns))) == NULL)
		return complain(r, "malloc", strerror(errno));
	for (i = 0; i < r->count; i++)
		r->conns[i].fd = -1;
	for (g = 0, i = 0; g < l->group_count; g++) {
		unsigned n = l->groups[g].connections;

		if (prepare(&r->recipes[g], l->groups[g].work, l->value_size) <
		    0)
			return complain(r, "malloc", strerror(errno));
		while (n-- > 0)
			if (open_conn(r, &r->conns[i++], t, &l->groups[g]) < 0)
				return -1;
	}
	return 0;
}

static int
turn(struct run *r)
{
	struct epoll_event events[EVENTS];
	uint64_t now;
	int n, i;

	if ((n = epoll_wait(r->epoll, events, EVENTS, STALL_MS)) < 0)
		return errno == EINTR
		    ? 0
		    : complain(r, "epoll_wait", strerror(errno));
	if (n == 0)
		return complain(r, "receive", "no answer for 30 s");
	now = now_ns();
	for (i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;

		if ((events[i].events & EPOLLOUT) != 0 && push(r, c) < 0)
			return -1;
		if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 &&
		    pull(r, c, now) < 0)
			return -1;
	}
	return 0;
}

static int
run_all(struct run *r)
{
	uint64_t now = now_ns();
	unsigned i;

	if (r->load->seconds > 0)
		r->end_ns = now + (uint64_t)(r->load->seconds * 1e9);
	for (i = 0; i < r->count; i++)
		if (begin_batch(r, &r->conns[i], now) < 0)
			return -1;
	while (r->busy > 0)
		if (turn(r) < 0)
			return -1;
	return 0;
}

static void
close_all(struct run *r)
{
	unsigned i;

	for (i = 0; r->conns != NULL && i < r->count; i++) {
		if (r->conns[i].fd >= 0)
			close(r->conns[i].fd);
		free(r->conns[i].out);
		free(r->conns[i].in);
	}
	for (i = 0; i < GROUPS_MAX; i++) {
		free(r->recipes[i].text[0]);
		free(r->recipes[i].text[1]);
	}
	free(r->conns);
	if (r->epoll >= 0)
		close(r->epoll);
}

int
load_run(const struct target *t, const struct load *l, struct outcome *out)
{
	struct run r = { .load = l, .out = out };
	uint64_t began, cpu;
	int rc = -1;

	memset(out, 0, sizeof(*out));
	chance_seed(&r.chance, l->seed);
	if ((r.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) {
		complain(&r, "epoll_create1", strerror(errno));
		return -1;
	}
	if (l->group_count > GROUPS_MAX || open_all(&r, t) < 0)
		goto out;
	cpu = t->pid > 0 ? cpu_of_tree(t->pid) : 0;
	began = now_ns();
	rc = run_all(&r);
	out->seconds = (double)(now_ns() - began) / 1e9;
	if (t->pid > 0)
		out->cpu_ns = cpu_of_tree(t->pid) - cpu;
out:
	close_all(&r);
	return rc;
}
