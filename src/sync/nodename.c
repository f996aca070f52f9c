/* SPDX-License-Identifier: ISC */
/* Comparing names of nodes and of hosts. */

#include "sync/nodename.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"

void
nodename_split(const char *full, struct kv_slice *name, struct kv_slice *host)
{
	size_t len = strcspn(full, "@");

	*name = (struct kv_slice){ full, len };
	*host = slice_of(full[len] == '@' ? full + len + 1 : full + len);
}

bool
nodename_answers_to(const char *full, struct kv_slice asked)
{
	struct kv_slice name, host;

	nodename_split(full, &name, &host);
	return slice_equal(slice_of(full), asked) ||
	    (host.len > 0 && slice_equal(name, asked));
}

static bool
nodename_same_text(struct kv_slice a, struct kv_slice b)
{
	return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

static size_t
nodename_label(struct kv_slice host)
{
	const char *dot = memchr(host.data, '.', host.len);

	return dot == NULL ? host.len : (size_t)(dot - host.data);
}

bool
nodename_same_host(struct kv_slice a, struct kv_slice b)
{
	size_t la = nodename_label(a), lb = nodename_label(b);

	if (la < a.len && lb < b.len)
		return nodename_same_text(a, b);
	a.len = la;
	b.len = lb;
	return a.len > 0 && nodename_same_text(a, b);
}

static bool
nodename_is_loopback(struct kv_slice host)
{
	return nodename_same_text(host, slice_of("localhost")) ||
	    nodename_same_text(host, slice_of("::1")) ||
	    (host.len > 4 && memcmp(host.data, "127.", 4) == 0);
}

bool
nodename_is_here(const char *self, struct kv_slice host)
{
	struct kv_slice name, own;

	nodename_split(self, &name, &own);
	return nodename_is_loopback(host) ||
	    nodename_same_host(host, own.len > 0 ? own : name);
}
