/* SPDX-License-Identifier: ISC */
/* Merging the sources of a configuration. */

#include "conf/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conffile.h"
#include "conf/derive.h"

static int
load_file(struct conf *c, const struct flags *flags, struct conf_error *e)
{
	struct buf path;
	int rc;

	if (flags != NULL && flags->config != NULL)
		return conffile_load(c, flags->config, e);
	buf_init(&path);
	rc = derive_path("XDG_CONFIG_HOME", ".config",
	    KV_BUILD_SYSCONFDIR "/kv", "kvd.conf", &path);
	if (rc == KV_OK && access(path.data, F_OK) == 0)
		rc = conffile_load(c, path.data, e);
	else if (rc == KV_ENOTFOUND)
		rc = KV_OK; /* no home, no file */
	buf_fini(&path);
	return rc;
}

static int
load_variable(struct conf *c, const char *name, enum conf_id id,
    struct conf_error *e)
{
	const char *value = getenv(name);
	char origin[80];

	if (value == NULL)
		return KV_OK;
	snprintf(origin, sizeof(origin), "environment %s", name);
	return conf_set(c, id, value, CONF_BY_ENVIRONMENT, origin, e);
}

/* KV_VALUE_MAX for value_max. */
static void
load_variable_name(const char *option, char *to, size_t size)
{
	char *c;

	snprintf(to, size, "KV_%s", option);
	for (c = to; *c != '\0'; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	}
}

/* KV_DURABILTY would be ignored without a word; other variables that begin
 * with KV_ belong to others. */
static int
load_misspelt(struct conf_error *e)
{
	char right[64];
	char **v;

	for (v = environ; *v != NULL; v++) {
		size_t len = strcspn(*v, "=");
		char name[64];

		if (strncmp(*v, "KV_", 3) != 0 || len >= sizeof(name))
			continue;
		memcpy(name, *v, len);
		name[len] = '\0';
		if (options_misspelt(name + 3) == NULL)
			continue;
		load_variable_name(options_misspelt(name + 3), right,
		    sizeof(right));
		return error_set(e, KV_EINVAL,
		    "unknown option %s (environment), did you mean %s?", name,
		    right);
	}
	return KV_OK;
}

static int
load_environment(struct conf *c, struct conf_error *e)
{
	char name[64];
	enum conf_id id;
	int rc;

	if ((rc = load_variable(c, "PORT", CONF_PORT, e)) < 0 ||
	    (rc = load_variable(c, "NODES", CONF_NODES, e)) < 0)
		return rc;
	for (id = 0; id < CONF_COUNT && rc == KV_OK; id++) {
		load_variable_name(options_get(id)->name, name, sizeof(name));
		rc = load_variable(c, name, id, e);
	}
	return rc < 0 ? rc : load_misspelt(e);
}

static int
load_flags(struct conf *c, const struct flags *flags, struct conf_error *e)
{
	size_t i;
	int rc = KV_OK;

	if (flags == NULL)
		return KV_OK;
	for (i = 0; i < flags->setting_count && rc == KV_OK; i++) {
		const struct flags_setting *s = &flags->settings[i];

		rc = conf_set(c, s->id, s->value, CONF_BY_FLAG, s->origin, e);
	}
	return rc;
}

int
load_conf(const struct flags *flags, struct conf **out, struct conf_error *e)
{
	struct conf *c;
	int rc;

	if ((rc = conf_new(&c)) < 0)
		return error_set(e, rc, "out of memory");
	if ((rc = load_file(c, flags, e)) < 0 ||
	    (rc = load_environment(c, e)) < 0 ||
	    (rc = load_flags(c, flags, e)) < 0 ||
	    (rc = conf_complete(c, e)) < 0)
		conf_free(c);
	else
		*out = c;
	return rc;
}
