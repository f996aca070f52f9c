/* SPDX-License-Identifier: ISC */
/* Cookie files: making one, and telling what is in one without its secrets. */

#include <kv.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/derive.h"
#include "secret/cookiefile.h"
#include "sync/psk.h"

static_assert(KV_COOKIE_LINES == COOKIE_LINES_MAX &&
	KV_COOKIE_FINGERPRINT == PSK_FINGERPRINT_TEXT,
    "kv.h says what sync has");
static_assert(sizeof(struct kv_cookie_error) == sizeof(struct cookiefile_error),
    "the same text");

int
kv_cookie_default_file(char *to, size_t size)
{
	const char *home = getenv("HOME");
	struct buf path;
	int rc;

	if (home == NULL || home[0] == '\0')
		return KV_ENOTFOUND;
	buf_init(&path);
	rc = derive_cookie_path(&path);
	if (rc == KV_OK && strlen(path.data) >= size)
		rc = KV_ETOOBIG;
	if (rc == KV_OK)
		memcpy(to, path.data, strlen(path.data) + 1);
	buf_fini(&path);
	return rc;
}

/* Pass the text of a failure on. */
static int
cookie_result(int rc, const struct cookiefile_error *why,
    struct kv_cookie_error *e)
{
	if (rc < 0)
		memcpy(e->text, why->text, sizeof(e->text));
	return rc;
}

int
kv_cookie_write(int fd, uint8_t generation, struct kv_cookie_error *e)
{
	struct cookiefile_error why;

	return cookie_result(cookiefile_write(fd, generation, &why), &why, e);
}

int
kv_cookie_new(const char *path, uint8_t generation, bool replace,
    struct kv_cookie_error *e)
{
	struct cookiefile_error why;
	int rc = cookiefile_make(path, generation, replace, &why);

	return cookie_result(rc, &why, e);
}

static int
cookie_describe(const struct cookie *c, const char *cluster,
    struct kv_cookie *out, struct kv_cookie_error *e)
{
	struct psk_ring *ring = NULL;
	size_t i;
	int rc;

	if (cluster != NULL &&
	    (rc = psk_ring_new(c, kv_text(cluster), &ring)) < 0) {
		snprintf(e->text, sizeof(e->text), "fingerprint: %s",
		    err_text(rc));
		return rc;
	}
	memset(out, 0, sizeof(*out));
	out->count = c->count;
	for (i = 0; i < c->count; i++) {
		struct kv_cookie_line *l = &out->lines[i];

		l->generation = c->lines[i].generation;
		l->weak = c->lines[i].secret.len < COOKIE_SECRET_MIN;
		if (ring != NULL)
			psk_fingerprint(psk_ring_find(ring, l->generation),
			    l->fingerprint);
	}
	psk_ring_release(ring);
	return KV_OK;
}

int
kv_cookie_show(const char *path, const char *cluster, struct kv_cookie *out,
    struct kv_cookie_error *e)
{
	struct cookiefile_error why;
	struct cookiefile c;
	int rc;

	if ((rc = cookiefile_read(path, true, &c, &why)) < 0)
		return cookie_result(rc, &why, e);
	rc = cookie_describe(&c.cookie, cluster, out, e);
	cookiefile_fini(&c);
	return rc;
}
