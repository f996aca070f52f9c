/* SPDX-License-Identifier: ISC */
/* Processes that take seeds from a counter in shared memory. */

#include "jobs.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TAKE 16 /* seeds at a time */
#define BAR_NS 200000000
#define BAR_WIDTH 40

struct worker {
	pid_t pid; /* 0: has ended */
	_Atomic uint64_t seed;
	struct jobs_result result;
};

struct shared {
	_Atomic uint64_t next;
	_Atomic uint64_t done;
	_Atomic bool is_over;
	struct worker worker[JOBS_MAX];
};

static void
add_counts(struct world_counts *to, const struct world_counts *c)
{
	to->runs += c->runs;
	to->writes += c->writes;
	to->frames += c->frames;
	to->bytes += c->bytes;
	to->turns += c->turns;
	to->virtual_ms += c->virtual_ms;
	to->settle_ms += c->settle_ms;
	to->restarts += c->restarts;
	to->links += c->links;
	to->resyncs += c->resyncs;
	to->repairs += c->repairs;
	to->given_up += c->given_up;
	to->downs += c->downs;
	to->heals += c->heals;
	to->faults += c->faults;
	to->held = to->held > c->held ? to->held : c->held;
	to->held_by_none = to->held_by_none > c->held_by_none ? to->held_by_none
							      : c->held_by_none;
	to->tries += c->tries;
	to->wins += c->wins;
	to->answers += c->answers;
	to->messages += c->messages;
}

static void
note(struct jobs_result *r, uint64_t seed, const char *why)
{
	unsigned i = r->found_count;

	if (i == JOBS_FOUND && seed > r->found[i - 1].seed)
		return;
	if (i == JOBS_FOUND)
		i--;
	else
		r->found_count++;
	for (; i > 0 && r->found[i - 1].seed > seed; i--)
		r->found[i] = r->found[i - 1];
	r->found[i].seed = seed;
	snprintf(r->found[i].why, sizeof(r->found[i].why), "%s", why);
}

static void
run_seed(struct shared *all, struct worker *me, struct world *w,
    const struct jobs_plan *plan, uint64_t seed)
{
	struct world_plan run = plan->run;
	unsigned i;

	run.seed = seed;
	atomic_store(&me->seed, seed);
	if (!world_run(w, &run)) {
		note(&me->result, seed, w->ghost.why);
		me->result.violated++;
		for (i = 0; i < GHOST_VIOLATION_COUNT; i++)
			me->result.kinds[i] += w->ghost.violations[i] > 0;
		if (plan->stops_at_first)
			atomic_store(&all->is_over, true);
	}
	add_counts(&me->result.counts, &w->counts);
	w->counts = (struct world_counts){ 0 };
	atomic_fetch_add(&all->done, 1);
}

static void
work(struct shared *all, struct worker *me, const struct jobs_plan *plan)
{
	struct world *w = calloc(1, sizeof(*w));
	uint64_t seed, end;

	if (w == NULL)
		return;
	while (!atomic_load(&all->is_over)) {
		seed = atomic_fetch_add(&all->next, TAKE);
		if (seed > plan->last)
			break;
		end =
		    seed + TAKE - 1 < plan->last ? seed + TAKE - 1 : plan->last;
		for (; seed <= end && !atomic_load(&all->is_over); seed++)
			run_seed(all, me, w, plan, seed);
	}
	world_fini(w);
	free(w);
}

static int
spawn(struct shared *all, struct worker *me, const struct jobs_plan *plan)
{
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) < 0) {
		perror("fork");
		return KV_ESYSTEM;
	}
	if (pid == 0) {
		work(all, me, plan);
		fflush(NULL);
		_exit(0);
	}
	me->pid = pid; /* shared memory: the child must not touch it */
	return KV_OK;
}

static void
show_bar(const struct jobs_plan *plan, uint64_t done, uint64_t violated)
{
	uint64_t total = plan->last - plan->first + 1;
	unsigned full = (unsigned)(done * BAR_WIDTH / total);

	if (plan->title == NULL || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%-12s [%.*s%*s] %llu/%llu%s", plan->title, (int)full,
	    "########################################", (int)(BAR_WIDTH - full),
	    "", (unsigned long long)done, (unsigned long long)total,
	    violated > 0 ? " VIOLATED" : "");
}

static uint64_t
violated(const struct shared *all, unsigned jobs)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < jobs; i++)
		n += all->worker[i].result.violated;
	return n;
}

/* A worker has ended; one that died goes on behind the seed that killed it. */
static int
reap(struct shared *all, const struct jobs_plan *plan, pid_t pid, int status)
{
	struct worker *me = all->worker;
	char why[64];

	while (me < all->worker + plan->jobs && me->pid != pid)
		me++;
	if (me == all->worker + plan->jobs)
		return KV_OK;
	me->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return KV_OK;
	snprintf(why, sizeof(why), "the process died: %s %d",
	    WIFSIGNALED(status) ? "signal" : "exit",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	note(&me->result, atomic_load(&me->seed), why);
	me->result.violated++;
	me->result.kinds[GHOST_ERROR]++;
	atomic_fetch_add(&all->done, 1);
	if (plan->stops_at_first)
		atomic_store(&all->is_over, true);
	return spawn(all, me, plan);
}

/* Until all workers are gone. */
static int
oversee(struct shared *all, const struct jobs_plan *plan)
{
	static const struct timespec pause = { 0, BAR_NS };
	unsigned i, alive = plan->jobs;
	int status, rc = KV_OK;
	sigset_t child;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (alive > 0) {
		sigtimedwait(&child, NULL, &pause);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (reap(all, plan, pid, status) < 0)
				rc = KV_ESYSTEM;
		}
		show_bar(plan, atomic_load(&all->done),
		    violated(all, plan->jobs));
		for (i = 0, alive = 0; i < plan->jobs; i++)
			alive += all->worker[i].pid > 0;
	}
	if (plan->title != NULL && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%80s\r", "");
	return rc;
}

static void
sum_up(const struct shared *all, unsigned jobs, struct jobs_result *out)
{
	const struct jobs_result *r;
	unsigned i, k;

	for (i = 0; i < jobs; i++) {
		r = &all->worker[i].result;
		add_counts(&out->counts, &r->counts);
		out->violated += r->violated;
		for (k = 0; k < GHOST_VIOLATION_COUNT; k++)
			out->kinds[k] += r->kinds[k];
		for (k = 0; k < r->found_count; k++)
			note(out, r->found[k].seed, r->found[k].why);
	}
}

int
jobs_run(const struct jobs_plan *plan, struct jobs_result *out)
{
	struct shared *all;
	sigset_t child;
	unsigned i;
	int rc = KV_OK;

	*out = (struct jobs_result){ 0 };
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED) {
		perror("mmap");
		return KV_ESYSTEM;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	atomic_store(&all->next, plan->first);
	for (i = 0; rc == KV_OK && i < plan->jobs; i++)
		rc = spawn(all, &all->worker[i], plan);
	if (rc == KV_OK)
		rc = oversee(all, plan);
	sum_up(all, plan->jobs, out);
	munmap(all, sizeof(*all));
	return rc;
}
