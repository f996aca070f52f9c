/* SPDX-License-Identifier: ISC */
/* Files and folders that the configuration names, before anything starts. */

#include "supervisor/preflight.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "io/file.h"

static int
preflight_refuse(const struct conf *c, enum conf_id id, int rc, const char *why,
    struct conf_error *e)
{
	return error_set(e, rc, "%s: \"%s\" (%s): %s", options_get(id)->name,
	    conf_text(c, id), conf_origin(c, id), why);
}

static int
preflight_dir(const struct conf *c, bool make, struct conf_error *e)
{
	const char *path = conf_text(c, CONF_DIR);
	char why[256];
	int rc;

	rc = file_check_dir(path, why, sizeof(why));
	if (rc == KV_ENOTFOUND && !make)
		return KV_OK;
	if (rc == KV_ENOTFOUND) {
		if ((rc = file_make_dir(path)) < 0) {
			e->text[0] = '\0'; /* logged there */
			return rc;
		}
		rc = file_check_dir(path, why, sizeof(why));
	}
	return rc < 0 ? preflight_refuse(c, CONF_DIR, rc, why, e) : KV_OK;
}

static int
preflight_shm_dir(const struct conf *c, struct conf_error *e)
{
	const char *path = conf_text(c, CONF_SHM_DIR);
	struct stat st;

	if (stat(path, &st) < 0)
		return preflight_refuse(c, CONF_SHM_DIR, err_from_errno(errno),
		    strerror(errno), e);
	if (!S_ISDIR(st.st_mode))
		return preflight_refuse(c, CONF_SHM_DIR, KV_EINVAL,
		    "is not a folder", e);
	if (access(path, W_OK | X_OK) < 0)
		return preflight_refuse(c, CONF_SHM_DIR, err_from_errno(errno),
		    strerror(errno), e);
	return KV_OK;
}

static int
preflight_cookie_file(const struct conf *c, struct conf_error *e)
{
	const char *path = conf_text(c, CONF_COOKIE_FILE);

	/* Without nodes nobody asks for a cookie, unless it was named. */
	if (conf_rank(c, CONF_COOKIE_FILE) == CONF_BY_DEFAULT)
		return KV_OK;
	if (access(path, R_OK) < 0)
		return preflight_refuse(c, CONF_COOKIE_FILE,
		    err_from_errno(errno), strerror(errno), e);
	return KV_OK;
}

static int
preflight(const struct conf *c, bool make, struct conf_error *e)
{
	int rc;

	if ((rc = preflight_cookie_file(c, e)) < 0 ||
	    (rc = preflight_shm_dir(c, e)) < 0)
		return rc;
	return preflight_dir(c, make, e);
}

int
preflight_check(const struct conf *c, struct conf_error *e)
{
	return preflight(c, false, e);
}

int
preflight_make(const struct conf *c, struct conf_error *e)
{
	return preflight(c, true, e);
}
