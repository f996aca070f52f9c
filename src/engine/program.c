/* SPDX-License-Identifier: ISC */
/* Between a program's main and kvd. */

#include "engine/program.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "engine/maintain.h"
#include "engine/options.h"
#include "io/parent.h"
#include "io/stop.h"

#define PROGRAM_LARGE (2 << 20) /* memory that the kernel gives and takes */
#define PROGRAM_SPARE (4 << 20) /* that malloc keeps at its end */

/* Else malloc, once it has freed a value of 16 MiB, makes room for the next one
 * within its heap, where small things then keep the holes between them. */
static void
program_tune_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, PROGRAM_LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, PROGRAM_SPARE);
}

static void
program_log(const char *name, const struct conf *conf)
{
	log_init(name, (enum log_level)conf_u64(conf, CONF_LOG_LEVEL));
}

int
program_begin(const char *name, struct conf **out)
{
	int rc;

	program_tune_memory();
	log_init(name, LOG_LEVEL_INFO);
	if ((rc = conf_from_parent(PARENT_FD, out)) == KV_OK)
		program_log(name, *out);
	return rc;
}

static void
program_told(struct loop_source *source, uint32_t events)
{
	struct program_parent *p =
	    loop_owner(source, struct program_parent, source);
	enum parent_verb verb = PARENT_OTHER;
	struct conf *conf;
	struct buf body;
	int rc;

	(void)events;
	buf_init(&body);
	rc = parent_receive(&verb, &body);
	if (rc == KV_OK && verb == PARENT_RELOAD &&
	    conf_read(buf_slice(&body), &conf) == KV_OK) {
		program_log(p->name, conf);
		p->reload(p, conf);
	}
	if (rc == KV_OK && verb == PARENT_STOP) {
		/* Nothing more can come, and an end would come for ever. */
		loop_remove(p->loop, source);
		p->stop(p);
	}
	buf_fini(&body);
}

int
program_listen(struct program_parent *p, struct loop *loop)
{
	p->loop = loop;
	p->source = (struct loop_source){
		.ready = program_told,
		.fd = PARENT_FD,
		.events = EPOLLIN,
	};
	return loop_add(loop, &p->source);
}

/* ---- without a loop ---- */

static int
program_open(const struct conf *conf, enum control_role role,
    struct engine **out)
{
	struct engine_options options;
	int rc;

	engine_options_read(conf, role, &options);
	if ((rc = engine_open(&options, out)) < 0)
		return rc;
	if ((rc = stop_arm(PARENT_FD)) < 0)
		return rc;
	parent_ready();
	return KV_OK;
}

static int
program_hold(struct engine *e, const char *name, enum control_role role,
    int (*work)(struct engine *e))
{
	int rc = KV_EBUSY;

	while (rc == KV_EBUSY) {
		if (stop_asked())
			return KV_OK;
		rc = maintain_take(e, role, true);
	}
	if (rc < 0)
		return rc;
	log_info("role taken=%s", name);
	return work(e);
}

int
program_main(const char *name, enum control_role role,
    int (*work)(struct engine *e))
{
	struct engine *e = NULL;
	struct conf *conf;
	int rc;

	if (program_begin(name, &conf) < 0)
		return EXIT_FAILURE;
	if ((rc = program_open(conf, role, &e)) == KV_OK)
		rc = program_hold(e, name + sizeof("kv-") - 1, role, work);
	engine_close(e);
	conf_free(conf);
	return rc == KV_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
