/* SPDX-License-Identifier: ISC */
/* The cookie at start and reload. */

#include "syncd/keys.h"

#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/derive.h"
#include "secret/cookiefile.h"
#include "sync/limits.h"

static int
keys_refuse(const struct conf *c, int rc, const char *text, char *why,
    size_t size)
{
	snprintf(why, size, "cookie_file: \"%s\": %s",
	    conf_text(c, CONF_COOKIE_FILE), text);
	return rc;
}

/* A path that somebody chose is looked at by kvd before it starts us, so that
 * a typing error there makes no new cookie. */
static bool
keys_is_default(const char *path)
{
	struct buf usual;
	bool same;

	buf_init(&usual);
	same = derive_cookie_path(&usual) == KV_OK &&
	    strcmp(usual.data, path) == 0;
	buf_fini(&usual);
	return same;
}

/* Several nodes may start at once: who comes second takes the first one's. */
static int
keys_make(const struct conf *c, struct cookiefile_error *e)
{
	const char *path = conf_text(c, CONF_COOKIE_FILE);
	int rc = cookiefile_make(path, 1, false, e);

	if (rc == KV_OK)
		log_info("cookie made file=%s hint=\"copy it to the other "
			 "hosts\"",
		    path);
	return rc == KV_EEXIST ? KV_OK : rc;
}

static void
keys_warn(const struct conf *c, const struct cookie *cookie)
{
	if (cookie_is_weak(cookie))
		log_warn("cookie weak file=%s guessed_within_s=%llu",
		    conf_text(c, CONF_COOKIE_FILE),
		    (unsigned long long)cookie_guess_seconds(cookie,
			LIMITS_GUESS_RATE));
}

int
keys_load(const struct conf *c, struct psk_ring **out, char *why, size_t size)
{
	bool weak = conf_u64(c, CONF_WEAK_COOKIE) != 0;
	struct cookiefile_error e;
	struct cookiefile file;
	int rc;

	rc = cookiefile_read(conf_text(c, CONF_COOKIE_FILE), weak, &file, &e);
	if (rc < 0)
		return keys_refuse(c, rc, e.text, why, size);
	keys_warn(c, &file.cookie);
	rc = psk_ring_new(&file.cookie, slice_of(conf_text(c, CONF_CLUSTER)),
	    out);
	cookiefile_fini(&file);
	return rc < 0 ? keys_refuse(c, rc, err_text(rc), why, size) : KV_OK;
}

int
keys_load_first(const struct conf *c, struct psk_ring **out, char *why,
    size_t size)
{
	int rc = keys_load(c, out, why, size);
	struct cookiefile_error e;

	if (rc != KV_ENOTFOUND ||
	    !keys_is_default(conf_text(c, CONF_COOKIE_FILE)))
		return rc;
	if ((rc = keys_make(c, &e)) < 0)
		return keys_refuse(c, rc, e.text, why, size);
	return keys_load(c, out, why, size);
}

int
keys_check(const struct conf *c, bool *missing, char *why, size_t size)
{
	const char *path = conf_text(c, CONF_COOKIE_FILE);
	struct cookiefile_error e;
	struct cookiefile file;
	int rc;

	rc = cookiefile_read(path, conf_u64(c, CONF_WEAK_COOKIE) != 0, &file,
	    &e);
	*missing = rc == KV_ENOTFOUND && keys_is_default(path);
	if (*missing) {
		rc = cookiefile_may_make(path, &e);
	} else if (rc == KV_OK) {
		keys_warn(c, &file.cookie);
		cookiefile_fini(&file);
	}
	return rc < 0 ? keys_refuse(c, rc, e.text, why, size) : KV_OK;
}
