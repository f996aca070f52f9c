/* SPDX-License-Identifier: ISC */
/* Clients that write until they are told to stop, and note down what they
 * sent and what was acknowledged.
 *
 *	load TRACE SEED FIRST OPERATIONS CONNECTIONS PORT...
 *
 * Connections are spread over the ports; every fourth speaks RESP.  One that is
 * lost is made again.  SIGTERM, or so many operations: no more are sent, what is
 * under way is waited for.  FIRST: number of the first operation. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "history.h"

#define DEPTH 64
#define OUT_MAX (DEPTH * (VALUE_MAX + 64))
#define STALL_NS 20000000000u /* an answer that takes so long is a failure */

struct sent {
	uint64_t number;
	enum kind kind;
};

struct client {
	unsigned id;
	uint16_t port;
	int fd;
	bool connecting;
	bool resp;
	bool created; /* its first burst was sent ... */
	bool settled; /* and answered */
	struct sent sent[DEPTH];
	unsigned count, answered;
	uint64_t sent_ns;
	char *out;
	size_t out_len, out_at;
	char in[65536];
	size_t in_len;
};

static struct trace trace;
static volatile sig_atomic_t stopping;
static uint64_t random_state, number, last_number;
static uint64_t acked, errors, lost, stalls;
static char first_error[200];
static bool ready; /* the shared buckets are there */

static void
on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

static uint64_t
rnd(uint64_t below)
{
	random_state += 0x9e3779b97f4a7c15u;
	return mix(random_state) % below;
}

/* ---- operations ---- */

static void __attribute__((format(printf, 2, 3)))
put_text(struct client *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(c->out + c->out_len, OUT_MAX - c->out_len, fmt, ap);
	va_end(ap);
	c->out_len += (size_t)n;
}

static void
put_line(struct client *c, enum kind kind, const char *bucket, unsigned key,
    const char *value, size_t len)
{
	static const char *const verbs[] = { "PUT", "DELETE", "CREATE",
		"DROP" };

	put_text(c, "%s %s", verbs[kind], bucket);
	if (kind == KIND_PUT || kind == KIND_DELETE)
		put_text(c, " k%u", key);
	if (kind == KIND_PUT) {
		put_text(c, " ");
		memcpy(c->out + c->out_len, value, len);
		c->out_len += len;
	}
	put_text(c, "\r\n");
}

static void
put_resp(struct client *c, enum kind kind, const char *bucket, unsigned key,
    const char *value, size_t len)
{
	char name[16];
	int n = snprintf(name, sizeof(name), "k%u", key);

	if (kind == KIND_INCR)
		put_text(c, "*2\r\n$4\r\nINCR\r\n$2\r\nc%u\r\n", key);
	else if (kind == KIND_DELETE)
		put_text(c, "*3\r\n$4\r\nHDEL\r\n$2\r\n%s\r\n$%d\r\n%s\r\n",
		    bucket, n, name);
	else {
		put_text(c,
		    "*4\r\n$4\r\nHSET\r\n$2\r\n%s\r\n$%d\r\n%s\r\n$%zu\r\n",
		    bucket, n, name, len);
		memcpy(c->out + c->out_len, value, len);
		c->out_len += len;
		put_text(c, "\r\n");
	}
}

static void
operate(struct client *c, enum kind kind, unsigned bucket, unsigned key)
{
	static char value[VALUE_MAX];
	struct trace_event e = { .who = c->id, .file = number, .aux = kind };
	char name[16];
	size_t len;

	e.offset = place_of(kind == KIND_INCR ? COUNTER_BUCKET : bucket, key);
	trace_add(&trace, TRACE_SENT, &e);
	bucket_name(bucket, name);
	len = value_make(bucket, number, value);
	(c->resp ? put_resp : put_line)(c, kind, name, key, value, len);
	c->sent[c->count++] = (struct sent){ number++, kind };
}

/* One of a burst.  A dropped bucket is soon made again, in the same burst or
 * in the next one. */
static void
operate_any(struct client *c)
{
	unsigned dice = (unsigned)rnd(1000), own = SHARED + c->id;
	unsigned bucket = (unsigned)rnd(SHARED);

	if (c->resp && dice < 150)
		operate(c, KIND_INCR, 0, (unsigned)rnd(COUNTERS));
	else if (c->resp)
		operate(c, dice < 250 ? KIND_DELETE : KIND_PUT, bucket,
		    (unsigned)rnd(SHARED_KEYS));
	else if (dice < 2)
		operate(c, KIND_DROP, own, 0);
	else if (dice < 12)
		operate(c, KIND_CREATE, own, 0);
	else if (dice < 200)
		operate(c, dice < 40 ? KIND_DELETE : KIND_PUT, own,
		    (unsigned)rnd(OWNED_KEYS));
	else
		operate(c, dice < 300 ? KIND_DELETE : KIND_PUT, bucket,
		    (unsigned)rnd(SHARED_KEYS));
}

/* First of all: the shared buckets, before anybody else writes to them, and the
 * own one. */
static void
create_buckets(struct client *c)
{
	unsigned b;

	for (b = 0; c->id == 0 && b < SHARED; b++)
		operate(c, KIND_CREATE, b, 0);
	if (!c->resp)
		operate(c, KIND_CREATE, SHARED + c->id, 0);
	c->created = true;
}

static void
burst(struct client *c)
{
	unsigned n = rnd(2) == 0 ? 1 : 1 + (unsigned)rnd(DEPTH);

	c->count = c->answered = 0;
	c->out_len = c->out_at = 0;
	if (!c->created) {
		if (c->id != 0 && !ready)
			return;
		create_buckets(c);
		c->sent_ns = trace_now();
		return;
	}
	c->settled = true;
	if (c->id == 0)
		ready = true;
	while (n-- > 0 && number < last_number)
		operate_any(c);
	c->sent_ns = trace_now();
}

/* ---- answers ---- */

static void
answer(struct client *c, const char *line, size_t len)
{
	const struct sent *s = &c->sent[c->answered++];
	struct trace_event e = { .who = c->id, .file = s->number };

	if (len >= 2 && memcmp(line, "OK", 2) == 0)
		e.aux = RESULT_OK;
	else if (len >= 2 && line[0] == ':' && c->resp) {
		e.aux = RESULT_OK;
		e.len = strtoull(line + 1, NULL, 10);
	} else if (len == 9 && memcmp(line, "NOT FOUND", 9) == 0)
		e.aux = RESULT_NOT_FOUND;
	else {
		e.aux = RESULT_ERROR;
		if (errors++ == 0)
			snprintf(first_error, sizeof(first_error), "%.*s",
			    (int)len, line);
	}
	acked += e.aux != RESULT_ERROR;
	trace_add(&trace, TRACE_ACKED, &e);
}

static void
take_answers(struct client *c)
{
	size_t at = 0;
	char *end;

	while (c->answered < c->count &&
	    (end = memchr(c->in + at, '\n', c->in_len - at)) != NULL) {
		size_t len = (size_t)(end - (c->in + at));

		answer(c, c->in + at, len > 0 ? len - 1 : 0);
		at += len + 1;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

/* ---- connections ---- */

static void
client_lose(struct client *c)
{
	struct trace_event e = { .who = c->id };

	if (c->fd >= 0)
		close(c->fd);
	if (!c->connecting)
		lost++;
	if (c->answered < c->count)
		trace_add(&trace, TRACE_DEAD, &e);
	c->fd = -1;
	c->created = c->settled;
	c->count = c->answered = 0;
	c->out_len = c->out_at = c->in_len = 0;
}

static void
client_connect(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(c->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->connecting = true;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS)
		client_lose(c);
}

static void
client_read(struct client *c)
{
	ssize_t n =
	    recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		client_lose(c);
		return;
	}
	if (n > 0)
		c->in_len += (size_t)n;
	take_answers(c);
}

static void
client_send(struct client *c)
{
	ssize_t n;

	if (c->out_at == c->out_len)
		return;
	n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
	    MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		client_lose(c);
	else if (n > 0)
		c->out_at += (size_t)n;
}

static void
client_step(struct client *c, short events)
{
	if (events & (POLLIN | POLLERR | POLLHUP))
		client_read(c);
	if (c->fd >= 0 && c->connecting && (events & POLLOUT))
		c->connecting = false;
	if (c->fd < 0 || c->connecting)
		return;
	if (c->answered == c->count && !stopping && number < last_number)
		burst(c);
	client_send(c);
	if (c->fd >= 0 && c->answered < c->count &&
	    trace_now() - c->sent_ns > STALL_NS) {
		stalls++;
		client_lose(c);
	}
}

static bool
is_done(const struct client *clients, unsigned count)
{
	unsigned i;

	if (!stopping && number < last_number)
		return false;
	for (i = 0; i < count; i++)
		if (clients[i].answered < clients[i].count)
			return false;
	return true;
}

static void
run(struct client *clients, unsigned count)
{
	struct pollfd fds[OWNED];
	unsigned i;

	while (!is_done(clients, count)) {
		bool refused = false;

		for (i = 0; i < count; i++) {
			struct client *c = &clients[i];

			if (c->fd < 0)
				client_connect(c);
			refused |= c->fd < 0;
			fds[i] = (struct pollfd){ c->fd,
				POLLIN |
				    (c->connecting || c->out_at < c->out_len
					    ? POLLOUT
					    : 0),
				0 };
		}
		if (poll(fds, count, refused ? 5 : 50) < 0)
			continue;
		for (i = 0; i < count; i++)
			if (clients[i].fd >= 0)
				client_step(&clients[i], fds[i].revents);
	}
}

int
main(int argc, char **argv)
{
	static struct client clients[OWNED];
	unsigned i, count;

	if (argc < 7 || trace_map(argv[1], &trace) < 0) {
		fprintf(stderr,
		    "load TRACE SEED FIRST OPERATIONS CONNECTIONS "
		    "PORT...\n");
		return 2;
	}
	random_state = strtoull(argv[2], NULL, 10);
	number = strtoull(argv[3], NULL, 10);
	last_number = number + strtoull(argv[4], NULL, 10);
	count = (unsigned)strtoul(argv[5], NULL, 10);
	if (count > OWNED)
		count = OWNED;
	signal(SIGTERM, on_signal);
	for (i = 0; i < count; i++) {
		clients[i] = (struct client){ .id = i,
			.port = (uint16_t)atoi(argv[6 + (int)i % (argc - 6)]),
			.fd = -1,
			.resp = i % 4 == 3,
			.out = malloc(OUT_MAX) };
		if (clients[i].out == NULL)
			return 2;
	}
	run(clients, count);
	printf("next=%" PRIu64 " acked=%" PRIu64 " lost=%" PRIu64
	       " errors=%" PRIu64 " stalls=%" PRIu64 " first_error=%s\n",
	    number, acked, lost, errors, stalls, first_error);
	return 0;
}
