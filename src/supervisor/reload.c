/* SPDX-License-Identifier: ISC */
/* Changing the configuration of a running kvd. */

#include "supervisor/reload.h"

#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/announce.h"
#include "supervisor/limits.h"

/* What does not change while we run stays as it is.  *users: who looks at what
 * did change. */
static int
reload_merge(const struct conf *old, struct conf *new, unsigned *users,
    struct conf_error *e)
{
	enum conf_id id;

	*users = 0;
	for (id = 0; id < CONF_COUNT; id++) {
		const struct conf_option *o = options_get(id);

		if (strcmp(conf_text(old, id), conf_text(new, id)) == 0)
			continue;
		if (o->reloads) {
			*users |= o->users;
			continue;
		}
		log_warn("reload ignored option=%s value=\"%s\" origin=\"%s\" "
			 "reason=\"needs a restart\"",
		    o->name, conf_text(new, id), conf_origin(new, id));
		if (conf_copy(new, id, old) < 0)
			return error_set(e, KV_ENOMEM, "out of memory");
	}
	/* The path is the same, what is in the file perhaps not. */
	if (conf_text(new, CONF_PASSWORD_FILE)[0] != '\0')
		*users |= USED_WORKER;
	if (conf_has_sync(new))
		*users |= USED_SYNCD; /* cookie_file */
	return conf_complete(new, e);
}

static struct port *
reload_find(struct port *list, uint16_t asked, const bool *taken)
{
	struct port *p;
	size_t i = 0;

	DL_FOREACH(list, p) {
		if (!taken[i++] && !p->is_unix && !p->is_gone &&
		    p->asked == asked)
			return p;
	}
	return NULL;
}

static size_t
reload_index(struct port *list, const struct port *wanted)
{
	struct port *p;
	size_t i = 0;

	DL_FOREACH(list, p) {
		if (p == wanted)
			break;
		i++;
	}
	return i;
}

#define RELOAD_PORTS_MAX (4 * VALUE_PORTS_MAX)

/* Open the ports that are new into *added, and tell in kept which of the old
 * ones stay. */
static int
reload_open(struct supervisor *s, const struct conf *new, struct port **added,
    bool kept[RELOAD_PORTS_MAX], struct conf_error *e)
{
	uint16_t ports[VALUE_PORTS_MAX];
	size_t i, count = conf_ports(new, ports);
	struct port *p;
	int rc = KV_OK;

	for (i = 0; i < count && rc == KV_OK; i++) {
		p = reload_find(s->ports, ports[i], kept);
		if (p != NULL) {
			kept[reload_index(s->ports, p)] = true;
			continue;
		}
		rc = port_open(new, ports[i], &p, e->text, sizeof(e->text));
		if (rc == KV_OK)
			DL_APPEND(*added, p);
	}
	if (rc < 0)
		port_free_all(added);
	return rc;
}

/* Workers of a port that is no longer wanted finish and end; what is left of
 * the port is removed after the turn. */
static void
reload_close(struct supervisor *s, struct port *port)
{
	struct process *p, *next;

	log_info("close port=%u address=%s", port->number, port->where);
	port->is_gone = true;
	port_close(port);
	DL_FOREACH_SAFE(s->processes, p, next) {
		if (p->port == port)
			process_handle(p, CHILD_UNWANTED);
	}
}

static void
reload_ports(struct supervisor *s, struct port *added,
    const bool kept[RELOAD_PORTS_MAX])
{
	struct port *p, *next;
	size_t i = 0;

	DL_FOREACH(s->ports, p) {
		if (!kept[i++] && !p->is_unix && !p->is_gone)
			reload_close(s, p);
	}
	DL_FOREACH_SAFE(added, p, next) {
		DL_DELETE(added, p);
		DL_APPEND(s->ports, p);
		announce_port(s, p);
		if (supervisor_add_workers(s, p) < 0)
			log_error("worker missing port=%u", p->number);
	}
}

static void
reload_tell(struct supervisor *s, unsigned users)
{
	struct process *p;

	DL_FOREACH(s->processes, p) {
		if (p->pid > 0 && (process_kind(p->role)->users & users) != 0)
			process_configure(p, "reload");
	}
}

static int
reload_read(struct supervisor *s, struct conf **out, unsigned *users,
    struct conf_error *e)
{
	struct conf *new;
	int rc;

	if ((rc = load_conf(s->flags, &new, e)) < 0)
		return rc;
	if ((rc = limits_clients(new, e)) < 0 ||
	    (rc = reload_merge(s->conf, new, users, e)) < 0)
		conf_free(new);
	else
		*out = new;
	return rc;
}

/* Point of no return: nothing below can fail but for lack of memory. */
static int
reload_commit(struct supervisor *s, struct conf *new, struct conf_error *e)
{
	struct buf lines;

	buf_init(&lines);
	if (conf_write(new, &lines) < 0) {
		buf_fini(&lines);
		return error_set(e, KV_ENOMEM, "out of memory");
	}
	buf_fini(&s->home.conf);
	s->home.conf = lines;
	conf_free(s->conf);
	s->conf = new;
	log_init("kvd", (enum log_level)conf_u64(new, CONF_LOG_LEVEL));
	return KV_OK;
}

static int
reload_all(struct supervisor *s, struct conf_error *e)
{
	bool kept[RELOAD_PORTS_MAX] = { false };
	struct port *added = NULL;
	struct conf *new;
	unsigned users;
	int rc;

	if ((rc = reload_read(s, &new, &users, e)) < 0)
		return rc;
	/* Ports that a service manager chose are not in the configuration. */
	if (s->notify.listen_fds > 0 &&
	    conf_rank(new, CONF_PORT) == CONF_BY_DEFAULT)
		memset(kept, true, sizeof(kept));
	else
		rc = reload_open(s, new, &added, kept, e);
	if (rc == KV_OK)
		rc = reload_commit(s, new, e);
	if (rc < 0) {
		port_free_all(&added);
		conf_free(new);
		return rc;
	}
	reload_ports(s, added, kept);
	reload_tell(s, users);
	if (supervisor_set_syncd(s) < 0)
		log_error("kv-syncd missing reason=\"out of memory\"");
	return KV_OK;
}

int
reload_apply(struct supervisor *s, struct conf_error *e)
{
	int rc;

	sdnotify_send(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)(clock_mono_ns() / 1000));
	if ((rc = reload_all(s, e)) < 0)
		log_error("reload refused error=\"%s\"", e->text);
	else
		log_info("reload done");
	sdnotify_send(&s->notify, "READY=1");
	return rc;
}
