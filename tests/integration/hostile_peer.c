/* SPDX-License-Identifier: ISC */
/* One end of a link that does as it is told: the real handshake and channel,
 * and then whatever frames stand on stdin.
 *
 *	hostile_peer port cookie cluster [from]
 *
 *	frame HEX	seal this plaintext and send it
 *	alter HEX	the same with one bit of the ciphertext turned over
 *	bytes HEX	send these as they are
 *	repeat N HEX	seal this plaintext N times
 *	deaf, hear	stop reading from the socket; go on
 *
 * It says "linked" after the handshake, "frame HEX" for each that comes, and
 * "closed" when the other end is gone; then, or at the end of stdin, it ends. */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "secret/cookiefile.h"
#include "sync/channel.h"

#define READ_MAX (4 * CHANNEL_FRAME_MAX)
#define QUEUE_MAX (1u << 20) /* then stdin waits */

struct hostile {
	int fd;
	bool is_deaf, has_ended; /* stdin */
	struct channel channel;
	struct buf in, out, commands;
};

static void
die(const char *what)
{
	printf("failed %s\n", what);
	exit(EXIT_FAILURE);
}

static void
must(int rc, const char *what)
{
	if (rc < 0)
		die(what);
}

/* ---- the link ---- */

static int
dial(const char *port, const char *from)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, from, &a.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("bind");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	return fd;
}

static void
send_all(int fd, const void *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		die("write");
}

static void
shake(struct hostile *h, struct psk_ring *ring, struct kv_slice cluster)
{
	struct handshake_terms terms = { cluster, 1, 1 };
	struct handshake_step step = { .done = false };
	struct handshake shake;
	uint8_t m1[HANDSHAKE_M1];
	char m2[HANDSHAKE_M2];
	ssize_t n;

	handshake_dial(&shake, ring, &terms, m1);
	send_all(h->fd, m1, sizeof(m1));
	while (!step.done) {
		n = read(h->fd, m2, sizeof(m2));
		if (n <= 0)
			die("closed");
		/* No more is sent before our M3. */
		if (handshake_feed(&shake, (struct kv_slice){ m2, (size_t)n },
			&step) < 0 &&
		    shake.state == HANDSHAKE_FAILED)
			die(handshake_reason_text(
			    (enum handshake_reason)shake.reason));
	}
	send_all(h->fd, step.reply, step.reply_len);
	channel_take(&h->channel, &step.session, 0);
	handshake_fini(&shake);
	printf("linked\n");
}

/* ---- commands ---- */

static void
from_hex(const char *text, struct buf *out)
{
	size_t n, len = strlen(text) / 2;

	must(buf_reserve(out, len + 1), "memory");
	if (sodium_hex2bin((unsigned char *)out->data + out->len, len, text,
		2 * len, NULL, &n, NULL) != 0 ||
	    n != len)
		die("hex");
	out->len += len;
}

static void
seal(struct hostile *h, const char *hex)
{
	size_t at;

	must(channel_begin(&h->out, &at), "begin");
	from_hex(hex, &h->out);
	must(channel_end(&h->channel, &h->out, at, false, 1), "seal");
}

static void
run(struct hostile *h, char *line)
{
	char *rest = strchr(line, ' ');
	unsigned long n;

	if (rest != NULL)
		*rest++ = '\0';
	else
		rest = line + strlen(line);
	if (strcmp(line, "frame") == 0) {
		seal(h, rest);
	} else if (strcmp(line, "alter") == 0) {
		seal(h, rest);
		h->out.data[h->out.len - 1] ^= 1;
	} else if (strcmp(line, "bytes") == 0) {
		from_hex(rest, &h->out);
	} else if (strcmp(line, "repeat") == 0) {
		for (n = strtoul(rest, &rest, 10); n > 0; n--)
			seal(h, rest + 1);
	} else if (strcmp(line, "deaf") == 0 || strcmp(line, "hear") == 0) {
		h->is_deaf = line[0] == 'd';
	} else {
		die("what?");
	}
}

static void
run_commands(struct hostile *h)
{
	struct buf *c = &h->commands;
	char *end;

	while (c->len > 0 && h->out.len < QUEUE_MAX &&
	    (end = memchr(c->data, '\n', c->len)) != NULL) {
		*end = '\0';
		run(h, c->data);
		buf_consume(c, (size_t)(end - c->data) + 1);
	}
}

/* ---- both directions ---- */

static void
tell(struct kv_slice plain)
{
	size_t i;

	printf("frame ");
	for (i = 0; i < plain.len; i++)
		printf("%02x", (unsigned char)plain.data[i]);
	printf("\n");
}

static bool
hear(struct hostile *h)
{
	struct channel_frame f;
	ssize_t n;
	int rc;

	must(buf_reserve(&h->in, READ_MAX), "memory");
	n = read(h->fd, h->in.data + h->in.len, READ_MAX);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	h->in.len += (size_t)n;
	while ((rc = channel_open(&h->channel, h->in.data, h->in.len, &f)) ==
	    KV_OK) {
		tell(f.plain);
		buf_consume(&h->in, f.used);
	}
	if (rc != KV_EMORE && rc != KV_ECLOSED)
		die("a frame");
	return true;
}

static bool
speak(struct hostile *h)
{
	ssize_t n =
	    send(h->fd, h->out.data, h->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN;
	buf_consume(&h->out, (size_t)n);
	return true;
}

static void
listen_to_stdin(struct hostile *h)
{
	ssize_t n;

	must(buf_reserve(&h->commands, QUEUE_MAX), "memory");
	n = read(STDIN_FILENO, h->commands.data + h->commands.len, QUEUE_MAX);
	h->has_ended = n <= 0;
	if (n > 0)
		h->commands.len += (size_t)n;
}

static bool
turn(struct hostile *h)
{
	struct pollfd p[2] = { { .fd = h->fd }, { .fd = STDIN_FILENO } };

	run_commands(h);
	p[0].events =
	    (short)((h->is_deaf ? 0 : POLLIN) | (h->out.len > 0 ? POLLOUT : 0));
	p[1].events = h->out.len < QUEUE_MAX ? POLLIN : 0;
	if (poll(p, 2, -1) < 0)
		return errno == EINTR;
	if (p[0].revents & POLLOUT && !speak(h))
		return false;
	if (p[1].revents & (POLLIN | POLLHUP))
		listen_to_stdin(h);
	return p[0].revents & (POLLIN | POLLHUP | POLLERR) && !h->is_deaf
	    ? hear(h)
	    : (p[0].revents & (POLLHUP | POLLERR)) == 0;
}

int
main(int argc, char **argv)
{
	struct hostile h = { .fd = -1 };
	struct cookiefile_error e;
	struct cookiefile file;
	struct psk_ring *ring;

	if (argc < 4)
		die("usage: hostile_peer port cookie cluster [from]");
	log_init("hostile_peer", LOG_LEVEL_WARN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(sodium_init(), "sodium");
	must(cookiefile_read(argv[2], true, &file, &e), "cookie");
	must(psk_ring_new(&file.cookie, slice_of(argv[3]), &ring), "psk");
	h.fd = dial(argv[1], argc > 4 ? argv[4] : "127.0.0.1");
	shake(&h, ring, slice_of(argv[3]));
	while (!h.has_ended && turn(&h))
		;
	printf("closed\n");
	return EXIT_SUCCESS;
}
