/* SPDX-License-Identifier: ISC */
/* Answers of a name server that says what it likes: A, AAAA and SRV questions
 * of one look-up, each answered by the next piece of the input, behind a head
 * and a question that c-ares believes.  The server is a socket of our own. */

#include <ares.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "syncd/lookup.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)
#define HEAD 12 /* of a message */
#define MESSAGE_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kv_slice input;
static struct loop_source server;
static uint16_t server_port;
static bool has_answered;

static size_t
take(void *to, size_t n)
{
	n = n < input.len ? n : input.len;
	if (n > 0)
		memcpy(to, input.data, n);
	input.data += n;
	input.len -= n;
	return n;
}

/* ---- the server ---- */

/* The question as it was, its head and what follows from the input; then, for
 * when that was not believed, that there is no such name. */
static void
answer(const uint8_t *question, size_t asked, const struct sockaddr_in *to)
{
	const struct sockaddr *at = (const struct sockaddr *)(const void *)to;
	uint8_t message[MESSAGE_MAX], length = 0;
	size_t n = asked;

	memcpy(message, question, asked);
	message[2] = 0x81;
	message[3] = 0x80;
	if (input.len > 0) {
		(void)take(message + 3, 1);
		message[3] &= 0x8f; /* the other bits are of no use */
		(void)take(message + 7, 1);
		(void)take(message + 9, 1);
		(void)take(&length, 1);
		n += take(message + n, length);
	}
	MUST(sendto(server.fd, message, n, 0, at, sizeof(*to)) == (ssize_t)n);
	memcpy(message, question, asked);
	message[2] = 0x81;
	message[3] = 0x83;
	MUST(sendto(server.fd, message, asked, 0, at, sizeof(*to)) ==
	    (ssize_t)asked);
}

static void
asked(struct loop_source *source, uint32_t events)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
	} from;
	uint8_t question[MESSAGE_MAX];
	socklen_t len = sizeof(from);
	ssize_t n;

	(void)events;
	n = recvfrom(source->fd, question, sizeof(question), 0, &from.any,
	    &len);
	MUST(n >= HEAD && n <= MESSAGE_MAX / 2);
	answer(question, (size_t)n, &from.in4);
}

static void
server_open(struct loop *loop)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
	} at = { .in4 = { .sin_family = AF_INET,
		     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at.in4);

	server = (struct loop_source){ .ready = asked,
		.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
		.events = EPOLLIN };
	MUST(server.fd >= 0);
	MUST(bind(server.fd, &at.any, len) == 0);
	MUST(getsockname(server.fd, &at.any, &len) == 0);
	server_port = ntohs(at.in4.sin_port);
	MUST(loop_add(loop, &server) == KV_OK);
}

/* In place of the library's own, which lookup.c calls. */
int
ares_init_options(ares_channel *channel, struct ares_options *options, int mask)
{
	union {
		void *symbol;
		int (*call)(ares_channel *, struct ares_options *, int);
	} real = { dlsym(RTLD_NEXT, "ares_init_options") };
	struct ares_addr_port_node node = { .family = AF_INET,
		.addr.addr4.s_addr = htonl(INADDR_LOOPBACK),
		.udp_port = server_port };
	char lookups[] = "b"; /* no /etc/hosts */
	int rc;

	MUST(real.symbol != NULL);
	options->lookups = lookups;
	options->ndots = 1;
	options->ndomains = 0;
	rc = real.call(channel, options,
	    mask | ARES_OPT_LOOKUPS | ARES_OPT_NDOTS | ARES_OPT_DOMAINS);
	MUST(rc == ARES_SUCCESS);
	MUST(ares_set_servers_ports(*channel, &node) == ARES_SUCCESS);
	return rc;
}

/* ---- one look-up ---- */

static void
answered(void *arg, const struct lookup_answer *found)
{
	char text[LOOKUP_TEXT];
	size_t i;

	has_answered = true;
	MUST(found->count <= LOOKUP_MAX);
	MUST(memchr(found->why, 0, sizeof(found->why)) != NULL);
	for (i = 0; i < found->count; i++) {
		lookup_text(&found->address[i], text);
		MUST(strrchr(text, ':') != NULL);
	}
	loop_stop(arg);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lookup_question q = { .host = "a.example",
		.port = 4069,
		.services = size > 0 && (data[0] & 1) != 0,
		.done = answered };
	bool is_cancelled = size > 0 && data[0] >= 0xfe;
	struct lookup *l;
	struct loop *loop;

	MUST(loop_new(&loop) == KV_OK);
	server_open(loop);
	q.arg = loop;
	input = (struct kv_slice){ (const char *)data + (size > 0),
		size - (size > 0) };
	has_answered = false;
	MUST(lookup_start(loop, &q, &l) == KV_OK);
	if (is_cancelled)
		lookup_cancel(l);
	else
		MUST(loop_run(loop) == KV_OK && has_answered);
	MUST(l == NULL);
	loop_remove(loop, &server);
	close(server.fd);
	loop_free(loop);
	return 0;
}
