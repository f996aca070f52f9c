/* SPDX-License-Identifier: ISC */
/* kvd: what the command line asks for. */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/load.h"
#include "conf/print.h"
#include "supervisor/cookie.h"
#include "supervisor/preflight.h"
#include "supervisor/supervisor.h"

static int
fail(const struct conf_error *e)
{
	if (e->text[0] != '\0')
		fprintf(stderr, "kvd: %s\n", e->text);
	return 1;
}

static int
put(struct buf *out, int rc)
{
	if (rc == KV_OK && fwrite(out->data, 1, out->len, stdout) < out->len)
		rc = KV_ESYSTEM;
	if (rc == KV_OK && fflush(stdout) != 0)
		rc = KV_ESYSTEM;
	buf_fini(out);
	return rc == KV_OK ? 0 : 1;
}

static int
show_help(void)
{
	struct buf out;
	int rc;

	buf_init(&out);
	rc = buf_printf(&out,
	    "usage: kvd [-nvh] [-c FILE] [-d DIR] [-p PORTS] [--OPTION VALUE]\n"
	    "\n"
	    "  -c --config FILE        Read this configuration file.\n"
	    "  -n --check              Check the configuration, start nothing.\n"
	    "     --print-config       Show every value and where it is from.\n"
	    "     --json               The same as JSON.\n"
	    "     --set NAME=VALUE     Set an option by its name in the file.\n"
	    "  -v --version            Show the version; twice: the build.\n"
	    "  -h --help               This.\n"
	    "\n"
	    "Options; also KV_NAME in the environment and name = value in the "
	    "file:\n");
	if (rc == KV_OK)
		rc = print_help(&out);
	if (rc == KV_OK)
		rc = buf_printf(&out,
		    "\n"
		    "Examples:\n"
		    "  kvd                          port 4050, store of this "
		    "user\n"
		    "  kvd -p 4050-4053 -d /srv/kv  four ports, one store\n"
		    "  PORT=0 kvd                   a free port; the log says "
		    "which\n"
		    "  kvd -n -c kvd.conf           is this file right?\n"
		    "  kvd --print-config           what would be used, and "
		    "why\n"
		    "  NODES=foo@jv,bar@jv PORT=4040 kvd --sname foo\n"
		    "                               a node that shares its "
		    "buckets with bar\n"
		    "\n"
		    "SIGTERM ends it in order, SIGHUP makes it read its file "
		    "again. Exits with 0\n"
		    "after an orderly end, with 1 and one line that says why "
		    "when it cannot start.\n"
		    "\n"
		    "See kvd(8) and kvd.conf(5).\n");
	return put(&out, rc);
}

static int
show_version(const struct flags *flags)
{
	printf("kvd %s\n", KV_VERSION);
	if (flags->versions > 1)
		printf("%s", KV_BUILD_SETTINGS);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
show_config(const struct conf *c, const struct flags *flags)
{
	struct buf out;

	buf_init(&out);
	return put(&out,
	    flags->json ? print_config_json(c, &out) : print_config(c, &out));
}

static int
show_mdoc(void)
{
	struct buf out;

	buf_init(&out);
	return put(&out, print_mdoc(&out));
}

static int
check(const struct conf *c)
{
	bool missing = false;
	struct conf_error e;
	int n;

	if (preflight_check(c, &e) < 0 ||
	    (conf_has_sync(c) && cookie_ask(c, &missing, &e) < 0))
		return fail(&e);
	n = missing ? printf("configuration ok; the cookie %s will be made\n",
			  conf_text(c, CONF_COOKIE_FILE))
		    : printf("configuration ok\n");
	return n < 0 || fflush(stdout) != 0 ? 1 : 0;
}

static int
run(const struct flags *flags, const struct sdnotify *notify)
{
	struct conf_error e;
	struct conf *c;
	int code;

	if (load_conf(flags, &c, &e) < 0)
		return fail(&e);
	log_init("kvd", (enum log_level)conf_u64(c, CONF_LOG_LEVEL));
	if (!flags->print_config && !flags->check)
		return supervisor_run(c, flags, notify);
	code = flags->check ? check(c) : 0;
	if (code == 0 && flags->print_config)
		code = show_config(c, flags);
	conf_free(c);
	return code;
}

/* Descriptors 0 to 2 must be something, or the next socket would be stderr. */
static void
open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct conf_error e;
	struct flags flags;
	struct sdnotify notify;
	int code;

	open_standard();
	log_init("kvd", LOG_LEVEL_INFO);
	sdnotify_init(&notify);
	if (flags_parse(argc, argv, &flags, &e) < 0)
		code = fail(&e);
	else if (flags.help)
		code = show_help();
	else if (flags.versions > 0)
		code = show_version(&flags);
	else if (flags.help_mdoc)
		code = show_mdoc();
	else
		code = run(&flags, &notify);
	flags_free(&flags);
	return code;
}
