/* SPDX-License-Identifier: ISC */
/* What follows from other options, the host and the environment. */

#include "conf/derive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "conf/conf.h"

#define DERIVE_HOST_MAX 64
/* Processes of a store that are not workers: roles, tools, libkv. */
#define DERIVE_OTHER_PROCESSES 16

static void
derive_host(char to[DERIVE_HOST_MAX])
{
	char *dot;

	if (gethostname(to, DERIVE_HOST_MAX) < 0 || to[0] == '\0')
		snprintf(to, DERIVE_HOST_MAX, "localhost");
	to[DERIVE_HOST_MAX - 1] = '\0';
	if ((dot = strchr(to, '.')) != NULL && dot != to)
		*dot = '\0';
}

int
derive_node(const struct conf *c, char to[DERIVE_NODE_MAX],
    struct conf_error *e)
{
	const char *name = conf_text(c, CONF_NAME);
	const char *sname = conf_text(c, CONF_SNAME);
	char host[DERIVE_HOST_MAX];

	if (name[0] != '\0' && sname[0] != '\0')
		return error_set(e, KV_EINVAL,
		    "sname: \"%s\" (%s) and name: \"%s\" (%s): expected one of "
		    "them",
		    sname, conf_origin(c, CONF_SNAME), name,
		    conf_origin(c, CONF_NAME));
	derive_host(host);
	if (name[0] != '\0')
		snprintf(to, DERIVE_NODE_MAX, "%s", name);
	else if (sname[0] != '\0')
		snprintf(to, DERIVE_NODE_MAX, "%s@%s", sname, host);
	else
		snprintf(to, DERIVE_NODE_MAX, "%s", host);
	return KV_OK;
}

int
derive_path(const char *variable, const char *below, const char *system,
    const char *name, struct buf *out)
{
	const char *xdg = getenv(variable), *home = getenv("HOME");

	if (geteuid() == 0)
		return buf_printf(out, "%s/%s", system, name);
	/* The specification: a relative path is to be ignored. */
	if (xdg != NULL && xdg[0] == '/')
		return buf_printf(out, "%s/kv/%s", xdg, name);
	if (home == NULL || home[0] != '/')
		return KV_ENOTFOUND;
	return buf_printf(out, "%s/%s/kv/%s", home, below, name);
}

static int
derive_one_path(struct conf *c, enum conf_id id, int rc, struct buf *path,
    struct conf_error *e)
{
	if (rc == KV_OK) /* over an empty value */
		rc =
		    conf_set(c, id, path->data, conf_rank(c, id), "default", e);
	else if (rc == KV_ENOTFOUND)
		error_set(e, rc, "%s: not given, and HOME is not set",
		    options_get(id)->name);
	else
		error_set(e, rc, "out of memory");
	buf_fini(path);
	return rc;
}

static int
derive_dir(struct conf *c, struct conf_error *e)
{
	const char *sname = conf_text(c, CONF_SNAME);
	struct buf path;
	int rc;

	if (conf_text(c, CONF_DIR)[0] != '\0')
		return KV_OK;
	buf_init(&path);
	rc = derive_path("XDG_STATE_HOME", ".local/state", "/var/lib/kv",
	    sname[0] != '\0' ? sname : conf_node(c), &path);
	return derive_one_path(c, CONF_DIR, rc, &path, e);
}

int
derive_cookie_path(struct buf *out)
{
	static const char shared[] = KV_BUILD_SYSCONFDIR "/kv/cookie";
	const char *home = getenv("HOME");

	if (home == NULL || home[0] != '/' ||
	    (geteuid() == 0 && access(shared, F_OK) == 0))
		return buf_append(out, shared, sizeof(shared));
	return buf_printf(out, "%s/.kv.cookie", home);
}

static int
derive_cookie_file(struct conf *c, struct conf_error *e)
{
	struct buf path;
	int rc;

	if (conf_text(c, CONF_COOKIE_FILE)[0] != '\0')
		return KV_OK;
	buf_init(&path);
	rc = derive_cookie_path(&path);
	return derive_one_path(c, CONF_COOKIE_FILE, rc, &path, e);
}

/* Who asks for other nodes hears them, too. */
static int
derive_sync_bind(struct conf *c, struct conf_error *e)
{
	if (conf_text(c, CONF_SYNC_BIND)[0] != '\0' || !conf_has_nodes(c))
		return KV_OK;
	return conf_set(c, CONF_SYNC_BIND,
	    "0.0.0.0,::", conf_rank(c, CONF_SYNC_BIND), "default", e);
}

/* A smaller segment lowers a value_max that nobody chose. */
static int
derive_value_max(struct conf *c, struct conf_error *e)
{
	uint64_t most = conf_u64(c, CONF_SEGMENT_SIZE) / 4;
	char text[VALUE_TEXT_MAX];

	if (conf_rank(c, CONF_VALUE_MAX) != CONF_BY_DEFAULT ||
	    conf_u64(c, CONF_VALUE_MAX) <= most)
		return KV_OK;
	value_format(OPTION_SIZE, most, text);
	return conf_set(c, CONF_VALUE_MAX, text, CONF_BY_DEFAULT,
	    "default for segment_size", e);
}

static int
derive_port(struct conf *c, struct conf_error *e)
{
	const char *env = getenv("KV_ENV");

	if (env == NULL || strcmp(env, "test") != 0)
		return KV_OK;
	return conf_set(c, CONF_PORT, "4040", CONF_BY_DEFAULT,
	    "default for KV_ENV=test", e);
}

int
derive_defaults(struct conf *c, struct conf_error *e)
{
	int rc;

	if ((rc = derive_port(c, e)) < 0 || (rc = derive_dir(c, e)) < 0 ||
	    (rc = derive_cookie_file(c, e)) < 0 ||
	    (rc = derive_sync_bind(c, e)) < 0)
		return rc;
	return derive_value_max(c, e);
}

/* Whoever can connect can do everything, so without a password nobody else's
 * host may. */
static int
derive_check_bind(const struct conf *c, struct conf_error *e)
{
	struct kv_slice rest = slice_of(conf_text(c, CONF_BIND)), item;

	if (conf_has_password(c))
		return KV_OK;
	while (value_next(&rest, &item)) {
		if ((item.len > 4 && memcmp(item.data, "127.", 4) == 0) ||
		    slice_equal(item, slice_of("::1")))
			continue;
		return error_set(e, KV_EINVAL,
		    "bind: \"%.*s\" (%s): expected 127.0.0.1 or ::1, as "
		    "there is no password for clients of other hosts",
		    (int)item.len, item.data, conf_origin(c, CONF_BIND));
	}
	return KV_OK;
}

int
derive_check(const struct conf *c, struct conf_error *e)
{
	uint64_t segment = conf_u64(c, CONF_SEGMENT_SIZE);
	uint64_t workers = conf_u64(c, CONF_WORKERS);
	uint64_t ports = conf_u64(c, CONF_PORT);
	uint64_t room = KV_BUILD_MAX_PROCESSES - DERIVE_OTHER_PROCESSES;

	if (segment % 4096 != 0)
		return error_set(e, KV_EINVAL,
		    "segment_size: \"%s\" (%s): expected a multiple of 4k",
		    conf_text(c, CONF_SEGMENT_SIZE),
		    conf_origin(c, CONF_SEGMENT_SIZE));
	if (conf_u64(c, CONF_VALUE_MAX) >= segment / 2)
		return error_set(e, KV_EINVAL,
		    "value_max: \"%s\" (%s): expected less than half of "
		    "segment_size, which is %s (%s)",
		    conf_text(c, CONF_VALUE_MAX),
		    conf_origin(c, CONF_VALUE_MAX),
		    conf_text(c, CONF_SEGMENT_SIZE),
		    conf_origin(c, CONF_SEGMENT_SIZE));
	if (ports * workers > room)
		return error_set(e, KV_EINVAL,
		    "port: %llu ports (%s) with %llu workers each (%s): "
		    "expected no more than %llu workers in all",
		    (unsigned long long)ports, conf_origin(c, CONF_PORT),
		    (unsigned long long)workers, conf_origin(c, CONF_WORKERS),
		    (unsigned long long)room);
	if (conf_text(c, CONF_PASSWORD)[0] != '\0' &&
	    conf_text(c, CONF_PASSWORD_FILE)[0] != '\0')
		return error_set(e, KV_EINVAL,
		    "password: (%s) and password_file: \"%s\" (%s): expected "
		    "one of them",
		    conf_origin(c, CONF_PASSWORD),
		    conf_text(c, CONF_PASSWORD_FILE),
		    conf_origin(c, CONF_PASSWORD_FILE));
	return derive_check_bind(c, e);
}
