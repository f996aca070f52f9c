/* SPDX-License-Identifier: ISC */

/* Which store, and how to get at it. */

#include "reach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_PORT 4050
#define KNOCK_MS 500 /* at the default port */

static int
no_such_way(const struct verb *v, const char *way)
{
	tool_say("%s works only %s", v->name, way);
	return EXIT_USAGE;
}

/* Why there is no connection. */
static const char *
reason(int rc)
{
	if (rc == KV_ECLOSED)
		return "nobody listens there";
	if (rc == KV_ENOTFOUND)
		return "no such host or socket";
	return kv_error(rc);
}

static int
open_socket(struct tool *t)
{
	int rc;

	snprintf(t->where, sizeof(t->where), "%s", t->socket);
	rc = kv_client_connect_unix(t->socket, t->timeout_ms, &t->client);
	if (rc == KV_OK)
		return EXIT_FINE;
	tool_say("cannot connect to %s: %s", t->where, reason(rc));
	return EXIT_NOBODY;
}

static int
open_port(struct tool *t)
{
	const char *host = t->host != NULL ? t->host : "127.0.0.1";
	int rc;

	snprintf(t->where, sizeof(t->where),
	    strchr(host, ':') != NULL ? "[%s]:%ld" : "%s:%ld", host, t->port);
	rc = kv_client_connect(host, (uint16_t)t->port, t->timeout_ms,
	    &t->client);
	if (rc == KV_OK)
		return EXIT_FINE;
	tool_say("cannot connect to %s: %s", t->where, reason(rc));
	return EXIT_NOBODY;
}

static int
open_dir(struct tool *t, const struct verb *v)
{
	struct kv_options options = { .must_exist = !v->makes_store };
	int rc;

	snprintf(t->where, sizeof(t->where), "%s", t->dir);
	if ((rc = kv_open(t->dir, &options, &t->store)) == KV_OK)
		return EXIT_FINE;
	if (rc == KV_ENOTFOUND) {
		tool_say("no store in %s", t->dir);
		return EXIT_NOBODY;
	}
	tool_say("cannot open the store in %s: %s", t->dir, kv_error(rc));
	return EXIT_TROUBLE;
}

static bool
has_store(const char *dir)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/store", dir);
	return access(path, F_OK) == 0 || errno == EACCES;
}

/* Neither port nor folder was named. */
static int
open_default(struct tool *t, const struct verb *v)
{
	static char dir[4096];
	const char *text = getenv("KV_PORT");
	uint64_t port = DEFAULT_PORT;
	int rc;

	/* kvd's KV_PORT may be a list: the first will do. */
	if (text != NULL && *text != '\0')
		port = strtoull(text, NULL, 10);
	if (port == 0 || port > 65535)
		port = DEFAULT_PORT;
	if (v->over_port != NULL &&
	    kv_client_connect(NULL, (uint16_t)port, KNOCK_MS, &t->client) ==
		KV_OK) {
		kv_client_set_timeout(t->client, t->timeout_ms);
		snprintf(t->where, sizeof(t->where), "127.0.0.1:%d", (int)port);
		return EXIT_FINE;
	}
	if (v->over_store == NULL) {
		tool_say("nobody answers on 127.0.0.1:%d; name a port with -p",
		    (int)port);
		return EXIT_NOBODY;
	}
	if ((rc = kv_default_dir(dir, sizeof(dir))) < 0) {
		tool_say("no default folder (%s); name one with -d",
		    kv_error(rc));
		return EXIT_NOBODY;
	}
	t->dir = dir;
	if (v->over_port != NULL && !v->makes_store && !has_store(dir)) {
		tool_say("nobody answers on 127.0.0.1:%d, and no store is in "
			 "%s; name a port with -p or a folder with -d",
		    (int)port, dir);
		return EXIT_NOBODY;
	}
	return open_dir(t, v);
}

int
reach_open(struct tool *t, const struct verb *v)
{
	bool by_port = t->port != 0 || t->socket != NULL || t->host != NULL;

	if (t->dir != NULL && by_port) {
		tool_say("-d and a port do not go together");
		return EXIT_USAGE;
	}
	if (t->dir != NULL)
		return v->over_store == NULL
		    ? no_such_way(v, "over a port (-p)")
		    : open_dir(t, v);
	if (by_port && v->over_port == NULL)
		return no_such_way(v, "on a store's folder (-d)");
	if (t->socket != NULL)
		return open_socket(t);
	if (t->host != NULL && t->port == 0)
		t->port = DEFAULT_PORT;
	return t->port != 0 ? open_port(t) : open_default(t, v);
}

void
reach_close(struct tool *t)
{
	kv_client_close(t->client);
	kv_close(t->store);
}
