/* SPDX-License-Identifier: ISC */
/* Comparing passwords: who waits, the thread, what was right before. */

#include "worker/auth.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/err.h"
#include "conf/conf.h"

#define AUTH_WAITS_MAX 1024
#define AUTH_PAUSE_NS 200000000u /* after a wrong one: five a second */
#define AUTH_DIGEST 32

enum auth_state { AUTH_QUEUED, AUTH_RUNNING, AUTH_SLOWED, AUTH_DONE };

/* A session that is held. */
struct auth_wait {
	struct auth_wait *prev, *next;
	struct auth *auth;
	struct session *session;
	struct timer timer; /* until the answer may leave */
	enum auth_state state;
	bool right;
	unsigned char digest[AUTH_DIGEST];
	struct kv_slice password; /* ours, zeroed at the end */
};

/* What the thread sees; it owns none of it. */
struct auth_job {
	pthread_t thread;
	bool busy;
	bool right;
	int done_fd;
	char hash[AUTH_HASH_SIZE];
	char *password;
	size_t len;
	unsigned char digest[AUTH_DIGEST];
};

struct auth {
	struct loop *loop;
	char hash[AUTH_HASH_SIZE]; /* empty: no password is needed */
	unsigned char key[AUTH_DIGEST];
	unsigned char known[AUTH_DIGEST]; /* of the right password */
	bool is_known;
	struct auth_wait *waits; /* oldest first */
	size_t wait_count;
	struct auth_job job;
	struct loop_source done; /* the thread is */
	struct timer pause;
	uint64_t next_ns; /* no verification before */
	struct auth_sources sources;
};

bool
auth_is_needed(const struct worker *w)
{
	return w->auth->hash[0] != '\0';
}

/* ---- the thread ---- */

static void *
auth_work(void *arg)
{
	struct auth_job *job = arg;
	uint64_t one = 1;

	job->right =
	    crypto_pwhash_str_verify(job->hash, job->password, job->len) == 0;
	if (write(job->done_fd, &one, sizeof(one)) < 0)
		(void)err_system("write", "eventfd");
	return NULL;
}

static void
auth_job_end(struct auth_job *job)
{
	pthread_join(job->thread, NULL);
	sodium_memzero(job->password, job->len);
	free(job->password);
	job->password = NULL;
	job->busy = false;
}

/* Signals are for the main thread. */
static int
auth_job_start(struct auth *a, const struct auth_wait *wait)
{
	struct auth_job *job = &a->job;
	sigset_t all, old;
	int rc;

	job->len = wait->password.len;
	if ((job->password = malloc(job->len + 1)) == NULL)
		return KV_ENOMEM;
	memcpy(job->password, wait->password.data, job->len);
	memcpy(job->hash, a->hash, sizeof(job->hash));
	memcpy(job->digest, wait->digest, sizeof(job->digest));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&job->thread, NULL, auth_work, job);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		free(job->password);
		errno = rc;
		return err_system("pthread_create", "password");
	}
	job->busy = true;
	return KV_OK;
}

/* ---- those who wait ---- */

static void
auth_wait_free(struct auth_wait *wait)
{
	struct auth *a = wait->auth;

	DL_DELETE(a->waits, wait);
	a->wait_count--;
	loop_timer_clear(a->loop, &wait->timer);
	sodium_memzero((char *)(wait + 1), wait->password.len);
	free(wait);
}

static void
auth_answer(struct auth_wait *wait)
{
	wait->state = AUTH_DONE;
	conn_release(&wait->session->conn, CONN_HOLD_OWNER);
}

static void
auth_slowed_enough(struct timer *timer)
{
	auth_answer(loop_owner(timer, struct auth_wait, timer));
}

static struct auth_wait *
auth_wait_new(struct auth *a, struct session *s, struct kv_slice password)
{
	struct auth_wait *wait = calloc(1, sizeof(*wait) + password.len + 1);

	if (wait == NULL)
		return NULL;
	memcpy(wait + 1, password.data, password.len);
	wait->password =
	    (struct kv_slice){ (const char *)(wait + 1), password.len };
	wait->auth = a;
	wait->session = s;
	wait->timer.expired = auth_slowed_enough;
	DL_APPEND(a->waits, wait);
	a->wait_count++;
	return wait;
}

/* Whose source failed least, and of those who came first. */
static struct auth_wait *
auth_choose(struct auth *a)
{
	uint64_t now = loop_now(a->loop);
	struct auth_wait *wait, *best = NULL;
	unsigned failures, least = 0;

	DL_FOREACH(a->waits, wait) {
		if (wait->state != AUTH_QUEUED)
			continue;
		failures = auth_source_of(&a->sources,
		    wait->session->conn.source.fd, now)
			       ->failures;
		if (best == NULL || failures < least) {
			best = wait;
			least = failures;
		}
	}
	return best;
}

static void
auth_next(struct auth *a)
{
	struct auth_wait *wait;

	if (a->job.busy || a->waits == NULL)
		return;
	if (loop_now(a->loop) < a->next_ns) {
		loop_timer_set(a->loop, &a->pause, a->next_ns);
		return;
	}
	while (!a->job.busy && (wait = auth_choose(a)) != NULL) {
		wait->state = AUTH_RUNNING;
		if (auth_job_start(a, wait) < 0)
			auth_answer(wait); /* wrong: not known to be right */
	}
}

static void
auth_pause_over(struct timer *timer)
{
	auth_next(loop_owner(timer, struct auth, pause));
}

static void
auth_refuse(struct auth *a, struct auth_wait *wait)
{
	uint64_t now = loop_now(a->loop);
	int fd = wait->session->conn.source.fd;
	struct auth_source *source = auth_source_of(&a->sources, fd, now);

	wait->state = AUTH_SLOWED;
	loop_timer_set(a->loop, &wait->timer,
	    now + auth_source_failed(source, now));
	auth_source_log(source, fd, now);
}

/* The same password may be asked about by others: one answer for them all. */
static void
auth_settle(struct auth *a, struct auth_wait *wait)
{
	if (wait->state > AUTH_RUNNING ||
	    sodium_memcmp(wait->digest, a->job.digest, AUTH_DIGEST) != 0)
		return;
	wait->right = a->job.right;
	if (wait->right)
		auth_answer(wait);
	else
		auth_refuse(a, wait);
}

static void
auth_job_done(struct loop_source *source, uint32_t events)
{
	struct auth *a = loop_owner(source, struct auth, done);
	struct auth_wait *wait, *next;
	uint64_t count;

	(void)events;
	if (read(source->fd, &count, sizeof(count)) < 0)
		return;
	auth_job_end(&a->job);
	/* A reload may have brought another password: then all ask anew. */
	if (strcmp(a->job.hash, a->hash) != 0) {
		DL_FOREACH(a->waits, wait)
			if (wait->state == AUTH_RUNNING)
				wait->state = AUTH_QUEUED;
	} else {
		if (a->job.right) {
			memcpy(a->known, a->job.digest, AUTH_DIGEST);
			a->is_known = true;
		} else {
			a->next_ns = loop_now(a->loop) + AUTH_PAUSE_NS;
		}
		DL_FOREACH_SAFE(a->waits, wait, next)
			auth_settle(a, wait);
	}
	auth_next(a);
}

/* ---- asking ---- */

static enum auth_verdict
auth_begin(struct session *s, struct kv_slice password,
    const unsigned char digest[AUTH_DIGEST])
{
	struct auth *a = session_worker(s)->auth;
	struct session_extra *x = session_extra(s);

	if (x == NULL || a->wait_count >= AUTH_WAITS_MAX)
		return AUTH_TOO_MANY;
	if ((x->auth = auth_wait_new(a, s, password)) == NULL)
		return AUTH_TOO_MANY;
	memcpy(x->auth->digest, digest, AUTH_DIGEST);
	auth_next(a);
	return AUTH_LATER;
}

enum auth_verdict
auth_check(struct session *s, struct kv_slice password)
{
	struct auth *a = session_worker(s)->auth;
	struct auth_wait *wait = s->extra == NULL ? NULL : s->extra->auth;
	unsigned char digest[AUTH_DIGEST];
	bool right;

	crypto_generichash(digest, sizeof(digest),
	    (const unsigned char *)password.data, password.len, a->key,
	    sizeof(a->key));
	if (wait != NULL &&
	    sodium_memcmp(wait->digest, digest, AUTH_DIGEST) != 0) {
		auth_forget(s); /* not what it waited for */
		wait = NULL;
	}
	if (wait == NULL) {
		if (a->is_known &&
		    sodium_memcmp(a->known, digest, AUTH_DIGEST) == 0)
			return AUTH_RIGHT;
		return auth_begin(s, password, digest);
	}
	if (wait->state != AUTH_DONE)
		return AUTH_LATER;
	right = wait->right;
	auth_forget(s);
	return right ? AUTH_RIGHT : AUTH_WRONG;
}

void
auth_forget(struct session *s)
{
	if (s->extra == NULL || s->extra->auth == NULL)
		return;
	auth_wait_free(s->extra->auth);
	s->extra->auth = NULL;
}

/* ---- life ---- */

int
auth_configure(struct worker *w, const struct conf *conf)
{
	const char *path = conf_text(conf, CONF_PASSWORD_FILE);
	char hash[AUTH_HASH_SIZE] = "";
	struct auth *a = w->auth;
	int rc;

	if (path[0] != '\0') {
		if ((rc = auth_read_file(path, hash)) < 0)
			return rc;
	} else {
		memcpy(hash, conf_text(conf, CONF_PASSWORD),
		    strlen(conf_text(conf, CONF_PASSWORD)) + 1);
	}
	if (strcmp(a->hash, hash) != 0) {
		memcpy(a->hash, hash, sizeof(hash));
		a->is_known = false;
	}
	return KV_OK;
}

int
auth_init(struct worker *w)
{
	struct auth *a;

	if (sodium_init() < 0)
		return KV_ESYSTEM;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return KV_ENOMEM;
	w->auth = a;
	a->loop = w->loop;
	a->pause.expired = auth_pause_over;
	randombytes_buf(a->key, sizeof(a->key));
	a->job.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->done = (struct loop_source){
		.ready = auth_job_done,
		.fd = a->job.done_fd,
		.events = EPOLLIN,
	};
	if (a->done.fd < 0)
		return err_system("eventfd", "password");
	return loop_add(w->loop, &a->done);
}

/* The sessions are closed. */
void
auth_fini(struct worker *w)
{
	struct auth *a = w->auth;

	if (a == NULL)
		return;
	if (a->job.busy)
		auth_job_end(&a->job);
	loop_timer_clear(w->loop, &a->pause);
	if (a->done.fd >= 0) {
		loop_remove(w->loop, &a->done);
		close(a->done.fd);
	}
	sodium_memzero(a, sizeof(*a));
	free(a);
	w->auth = NULL;
}
