/* SPDX-License-Identifier: ISC */
/* What kvd knows of itself, for programs. */

#include "supervisor/status.h"

#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "conf/json.h"

static int
status_member(struct buf *out, const char *name, const char *text)
{
	int rc;

	if ((rc = buf_printf(out, ",\"%s\":", name)) < 0)
		return rc;
	return json_string(out, text);
}

static int
status_process(const struct process *p, struct buf *out)
{
	int rc;

	if ((rc = buf_printf(out, "{\"pid\":%d,\"restarts\":%u", (int)p->pid,
		 p->child.restarts)) < 0 ||
	    (rc = status_member(out, "program",
		 process_kind(p->role)->program)) < 0 ||
	    (rc = status_member(out, "state",
		 child_state_text(p->child.state))) < 0)
		return rc;
	return buf_append(out, "}", 1);
}

/* The processes of one port, or for NULL those that have none. */
static int
status_processes(const struct supervisor *s, const struct port *port,
    struct buf *out)
{
	const struct process *p;
	bool first = true;
	int rc;

	if ((rc = buf_append(out, "[", 1)) < 0)
		return rc;
	DL_FOREACH(s->processes, p) {
		if (p->port != port)
			continue;
		if (!first && (rc = buf_append(out, ",", 1)) < 0)
			return rc;
		if ((rc = status_process(p, out)) < 0)
			return rc;
		first = false;
	}
	return buf_append(out, "]", 1);
}

static int
status_port(const struct supervisor *s, const struct port *port,
    struct buf *out)
{
	int rc;

	if ((rc = buf_printf(out, "%s{\"port\":%u", port == s->ports ? "" : ",",
		 port->number)) < 0 ||
	    (rc = status_member(out, port->is_unix ? "path" : "address",
		 port->where)) < 0 ||
	    (rc = buf_printf(out, ",\"workers\":")) < 0 ||
	    (rc = status_processes(s, port, out)) < 0)
		return rc;
	return buf_append(out, "}", 1);
}

int
status_write(const struct supervisor *s, struct buf *out)
{
	static const char *const phases[] = {
		[SUPERVISOR_OPENING] = "opening",
		[SUPERVISOR_RISING] = "starting",
		[SUPERVISOR_SERVING] = "serving",
		[SUPERVISOR_STOPPING] = "stopping",
	};
	uint64_t up_ms = (clock_mono_ns() - s->started_ns) / 1000000;
	const struct port *port;
	int rc;

	if ((rc = buf_printf(out, "{\"pid\":%d,\"uptime_ms\":%llu",
		 (int)getpid(), (unsigned long long)up_ms)) < 0 ||
	    (rc = status_member(out, "version", KV_VERSION)) < 0 ||
	    (rc = status_member(out, "state", phases[s->phase])) < 0 ||
	    (rc = status_member(out, "node", conf_node(s->conf))) < 0 ||
	    (rc = status_member(out, "dir", conf_text(s->conf, CONF_DIR))) <
		0 ||
	    (rc = buf_printf(out, ",\"ports\":[")) < 0)
		return rc;
	DL_FOREACH(s->ports, port) {
		if ((rc = status_port(s, port, out)) < 0)
			return rc;
	}
	if ((rc = buf_printf(out, "],\"roles\":")) < 0 ||
	    (rc = status_processes(s, NULL, out)) < 0)
		return rc;
	return buf_append(out, "}\n", 2);
}

int
status_ports(const struct supervisor *s, struct buf *out)
{
	const struct port *port;
	char name[16];
	int rc = KV_OK;

	DL_FOREACH(s->ports, port) {
		if (port->is_gone || rc < 0)
			continue;
		port_name(port, name, sizeof(name));
		rc = buf_printf(out, "%s %s\n", name, port->where);
	}
	return rc;
}
