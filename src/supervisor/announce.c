/* SPDX-License-Identifier: ISC */
/* What is said when kvd serves. */

#include "supervisor/announce.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

void
announce_port(const struct supervisor *s, const struct port *port)
{
	unsigned long long workers = conf_u64(s->conf, CONF_WORKERS);

	if (port->is_unix)
		log_info("listen unix=%s workers=%llu", port->where, workers);
	else
		log_info("listen port=%u address=%s workers=%llu", port->number,
		    port->where, workers);
}

/* A line to paste next, for people; a service manager has none.  bash alone
 * does it: a fresh Debian has neither nc nor telnet. */
void
announce_first_steps(const struct supervisor *s)
{
	const struct port *port = s->ports;

	if (s->notify.socket[0] != '\0' || port == NULL || port->is_unix)
		return;
	printf("try: (printf 'CREATE shopping\\r\\nPUT shopping milk 1\\r\\n"
	       "GET shopping milk\\r\\n' >&3; head -n 4 <&3) "
	       "3<>/dev/tcp/%.*s/%u   (or: redis-cli -p %u)\n",
	    (int)strcspn(port->where, ","), port->where, port->number,
	    port->number);
	fflush(stdout);
}
