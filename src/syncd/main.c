/* SPDX-License-Identifier: ISC */
/* kv-syncd: keeps this host's store in step with other hosts.  Started by
 * kvd. */

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/err.h"
#include "engine/maintain.h"
#include "engine/options.h"
#include "engine/program.h"
#include "io/parent.h"
#include "syncd/keys.h"
#include "syncd/syncd.h"

#define MAIN_ROLE_NS 200000000u /* between two looks whether it is free */
#define MAIN_NICE 15

struct program {
	struct loop *loop;
	struct engine *engine;
	struct syncd syncd;
	struct conf *conf; /* until syncd has it */
	struct program_parent parent;
	struct timer role; /* until we have it */
	bool has_role;
	int rc;
};

/* Keys are in this process: no core file, no debugger of the same user. */
static void
main_hide(void)
{
	struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		(void)err_system("prctl", "dumpable");
}

/* Clients of this host come first: what others write here, or are to be told,
 * can wait while the processors are short.  It costs nothing while they are
 * not.  Not the least there is: what is appended is appended under the mutex of
 * all writers, and who holds it must get on. */
static void
main_yield(void)
{
	int now = getpriority(PRIO_PROCESS, 0);

	if (setpriority(PRIO_PROCESS, 0, now + MAIN_NICE) < 0)
		(void)err_system("setpriority", "kv-syncd");
}

static void
main_end(struct program *p, int rc)
{
	p->rc = rc;
	loop_stop(p->loop);
}

/* ---- kvd's word ---- */

static void
main_reload(struct program_parent *parent, struct conf *conf)
{
	struct program *p = loop_owner(parent, struct program, parent);

	if (p->has_role) {
		syncd_reload(&p->syncd, conf);
	} else {
		conf_free(p->conf);
		p->conf = conf;
	}
}

static void
main_stop(struct program_parent *parent)
{
	struct program *p = loop_owner(parent, struct program, parent);

	if (p->has_role)
		syncd_stop(&p->syncd);
	else
		main_end(p, KV_OK);
}

/* ---- work ---- */

static void
main_begin(struct program *p)
{
	struct conf *conf = p->conf;
	char why[4600] = "";
	int rc;

	p->has_role = true;
	p->conf = NULL;
	rc = syncd_open(&p->syncd, p->loop, p->engine, conf, why, sizeof(why));
	if (rc == KV_OK) {
		parent_ready();
		return;
	}
	if (why[0] != '\0')
		parent_failed("%s", why);
	else
		parent_failed("kv-syncd: %s", err_text(rc));
	main_end(p, rc);
}

/* Another kvd on the same store may have it: then we wait for its end. */
static void
main_take_role(struct timer *timer)
{
	struct program *p = loop_owner(timer, struct program, role);
	int rc = maintain_take(p->engine, ROLE_SYNCD, false);

	if (rc == KV_OK)
		main_begin(p);
	else if (rc == KV_EBUSY)
		loop_timer_set(p->loop, timer,
		    loop_now(p->loop) + MAIN_ROLE_NS);
	else
		main_end(p, rc);
}

static int
main_open(struct program *p)
{
	struct engine_options options;
	int rc;

	if (sodium_init() < 0)
		return KV_ESYSTEM;
	engine_options_read(p->conf, ROLE_SYNCD, &options);
	if ((rc = engine_open(&options, &p->engine)) < 0 ||
	    (rc = loop_new(&p->loop)) < 0)
		return rc;
	if ((rc = program_listen(&p->parent, p->loop)) < 0)
		return rc;
	p->role.expired = main_take_role;
	rc = maintain_take(p->engine, ROLE_SYNCD, false);
	if (rc == KV_OK) {
		main_begin(p);
		return p->rc;
	}
	if (rc == KV_EBUSY) {
		parent_ready(); /* to take over */
		loop_timer_set(p->loop, &p->role, MAIN_ROLE_NS);
		rc = KV_OK;
	}
	return rc;
}

static void
main_close(struct program *p)
{
	if (p->has_role)
		syncd_close(&p->syncd);
	if (p->loop != NULL)
		loop_free(p->loop);
	engine_close(p->engine);
	conf_free(p->conf);
}

/* kvd -n asks whether we would start with this cookie. */
static int
main_check(const struct conf *conf)
{
	char why[1024];
	bool missing;

	if (keys_check(conf, &missing, why, sizeof(why)) < 0) {
		parent_failed("%s", why);
		return EXIT_FAILURE;
	}
	parent_checked(missing);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	static struct program program = {
		.parent = { .name = "kv-syncd",
		    .reload = main_reload,
		    .stop = main_stop },
	};

	signal(SIGPIPE, SIG_IGN);
	main_hide();
	if (program_begin(program.parent.name, &program.conf) < 0)
		return EXIT_FAILURE;
	if (argc == 2 && strcmp(argv[1], "check") == 0)
		return main_check(program.conf);
	main_yield();
	if ((program.rc = main_open(&program)) == KV_OK &&
	    loop_run(program.loop) < 0)
		program.rc = KV_ESYSTEM;
	if (program.rc == KV_OK)
		program.rc = program.syncd.rc;
	main_close(&program);
	return program.rc == KV_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
