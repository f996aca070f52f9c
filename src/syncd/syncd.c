/* SPDX-License-Identifier: ISC */
/* The turn of kv-syncd, and its life. */

#include "syncd/syncd.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/note.h"
#include "syncd/clocks.h"
#include "syncd/desk.h"
#include "syncd/dial.h"
#include "syncd/gate.h"
#include "syncd/keys.h"
#include "syncd/lan.h"
#include "syncd/news.h"
#include "syncd/peer.h"
#include "syncd/report.h"
#include "syncd/rundir.h"
#include "syncd/store.h"
#include "syncd/watch.h"

#define SYNCD_STOP_LIMIT_NS 3000000000u /* kvd kills after five seconds */

uint64_t
syncd_now(const struct syncd *s)
{
	return loop_now(s->loop) / 1000000;
}

struct kv_slice
syncd_cluster(const struct syncd *s)
{
	return slice_of(conf_text(s->conf, CONF_CLUSTER));
}

/* The store or memory fails us: leave the loop. */
static void
syncd_fail(struct syncd *s, int rc)
{
	if (s->rc == KV_OK)
		s->rc = rc;
	loop_stop(s->loop);
}

void
syncd_changed(struct syncd *s)
{
	report_touch(s->report);
}

/* ---- a turn ---- */

/* Those that are over: back to the replica, which may have a last word on
 * why, then to nobody. */
static void
syncd_bury(struct syncd *s)
{
	struct peer *p, *next;
	bool any = false;

	DL_FOREACH(s->peers, p) {
		if (p->state == PEER_LINGERING || p->state == PEER_DEAD) {
			any |= p->link != NULL;
			peer_unlink(p);
		}
	}
	if (any)
		news_take(s);
	DL_FOREACH_SAFE(s->peers, p, next) {
		if (p->state != PEER_LINGERING && p->state != PEER_DEAD)
			continue;
		p->number = 0; /* another link may get it next */
		news_end(p);
		if (p->state == PEER_DEAD)
			peer_free(p);
	}
	if (s->stopping && s->peers == NULL)
		loop_stop(s->loop);
}

static void
syncd_give_all(struct syncd *s)
{
	struct peer *p;

	DL_FOREACH(s->peers, p) {
		if (p->link != NULL)
			peer_give(p);
	}
}

static int
syncd_exchange(struct syncd *s, uint64_t *next_ms)
{
	struct replica_time now = { clock_mono_ns() / 1000000,
		clock_wall_ms() };
	struct peer *p;
	int rc;

	if ((rc = replica_begin(s->replica, now)) < 0)
		return rc;
	DL_FOREACH(s->peers, p) {
		if (p->link != NULL)
			peer_take(p);
	}
	if ((rc = replica_end(s->replica, next_ms)) == KV_OK &&
	    (rc = desk_turn(s->desk, next_ms)) == KV_OK) {
		syncd_give_all(s);
		post_sent(s->desk);
		s->tail.position = engine_position(s->engine);
	}
	replica_release(s->replica);
	return rc;
}

static bool
syncd_has_more(const struct syncd *s)
{
	const struct peer *p;

	DL_FOREACH(s->peers, p) {
		if (p->has_more)
			return true;
	}
	return false;
}

static void
syncd_turn(struct syncd *s)
{
	uint64_t next_ms = MEMBER_NEVER;
	int rc;

	s->turn_wanted = false;
	if ((rc = syncd_exchange(s, &next_ms)) < 0) {
		/* All that we said was said in the name of another run. */
		if (rc == KV_ESTALE)
			log_warn("start again reason=\"the clock jumped, and "
				 "a new incarnation begins\"");
		else
			log_error("replication failed error=\"%s\"",
			    err_text(rc));
		syncd_fail(s, rc);
		return;
	}
	news_take(s);
	syncd_bury(s);
	if (next_ms == MEMBER_NEVER)
		loop_timer_clear(s->loop, &s->timer);
	else
		loop_timer_set(s->loop, &s->timer, next_ms * 1000000);
	if (syncd_has_more(s)) {
		s->turn_wanted = true;
		loop_again(s->loop);
	}
}

static void
syncd_turn_begin(void *arg)
{
	struct syncd *s = arg;

	if (s->desk != NULL)
		desk_begin(s->desk);
}

static void
syncd_turn_end(void *arg)
{
	struct syncd *s = arg;

	if (s->turn_wanted)
		syncd_turn(s);
}

/* Who has nobody to tell does not listen to the log. */
static void
syncd_before_sleep(void *arg)
{
	uint64_t end;
	struct syncd *s = arg;

	if (s->turn_wanted) {
		loop_again(s->loop);
		return;
	}
	if (s->peers == NULL)
		return;
	end = engine_control(s->engine)->wal_end;
	if ((!gather_waits(s) && feed_want(s->engine, &s->tail)) ||
	    (engine_durable(s->engine) < end &&
		engine_want_durable(s->engine, end))) {
		s->turn_wanted = true;
		loop_again(s->loop);
	}
}

static void
syncd_woken(struct loop_source *source, uint32_t events)
{
	struct syncd *s = loop_owner(source, struct syncd, wake);

	(void)events;
	engine_wake_drain(s->engine);
	s->turn_wanted = true;
}

static void
syncd_timer(struct timer *timer)
{
	loop_owner(timer, struct syncd, timer)->turn_wanted = true;
}

/* ---- dialling ---- */

void
syncd_look(struct syncd *s)
{
	loop_timer_set(s->loop, &s->due, 0);
}

static void
syncd_dial(struct timer *timer)
{
	struct syncd *s = loop_owner(timer, struct syncd, due);
	struct member *c;
	uint64_t next;

	if (s->stopping)
		return;
	while ((c = members_due(s->members, syncd_now(s))) != NULL)
		dial_start(s, c);
	next = members_next_ms(s->members);
	if (next != MEMBER_NEVER)
		loop_timer_set(s->loop, &s->due, next * 1000000);
	syncd_changed(s);
}

/* ---- the end ---- */

static void
syncd_stop_now(struct timer *timer)
{
	loop_stop(loop_owner(timer, struct syncd, stop_limit)->loop);
}

void
syncd_stop(struct syncd *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	gate_shut(s->gate);
	desk_shut(s->desk);
	dial_stop_all(s);
	replica_stop(s->replica);
	s->turn_wanted = true;
	loop_timer_set(s->loop, &s->stop_limit,
	    loop_now(s->loop) + SYNCD_STOP_LIMIT_NS);
}

/* ---- configuration ---- */

static void
syncd_set_nodes(struct syncd *s)
{
	struct kv_slice nodes = slice_of(conf_text(s->conf, CONF_NODES));

	if (members_set_nodes(s->members, nodes, syncd_now(s)) < 0)
		log_warn("nodes ignored reason=\"more than %d\"", MEMBERS_MAX);
}

/* What else finds nodes; what is as it was goes on. */
static int
syncd_find_nodes(struct syncd *s, bool dns_changed)
{
	bool dns = conf_text(s->conf, CONF_DNS)[0] != '\0';
	bool lan = conf_u64(s->conf, CONF_BEACON) != 0;
	int rc;

	syncd_set_nodes(s);
	if (dns_changed || !dns) {
		watch_close(s->watch);
		s->watch = NULL;
	}
	if (!lan) {
		lan_close(s->lan);
		s->lan = NULL;
	}
	if (dns && s->watch == NULL && (rc = watch_open(s, &s->watch)) < 0)
		return rc;
	return lan && s->lan == NULL ? lan_open(s, &s->lan) : KV_OK;
}

static void
syncd_reload_keys(struct syncd *s)
{
	struct psk_ring *ring;
	char why[1024];
	char generations[PSK_GENERATIONS_TEXT];

	if (keys_load(s->conf, &ring, why, sizeof(why)) < 0) {
		log_error("cookie stays as it was reason=\"%s\"", why);
		return;
	}
	psk_ring_release(s->ring);
	s->ring = ring;
	psk_ring_generations(ring, generations);
	log_info("cookie read generations=\"%s\"", generations);
}

static bool
syncd_differs(const struct conf *a, const struct conf *b, enum conf_id id)
{
	return strcmp(conf_text(a, id), conf_text(b, id)) != 0;
}

void
syncd_reload(struct syncd *s, struct conf *conf)
{
	bool rebind = syncd_differs(s->conf, conf, CONF_SYNC_BIND);
	bool dns = syncd_differs(s->conf, conf, CONF_DNS);
	char why[512];

	conf_free(s->conf);
	s->conf = conf;
	syncd_reload_keys(s);
	desk_reload(s->desk);
	if (rebind && gate_rebind(s->gate, why, sizeof(why)) < 0) {
		log_error("listen failed reason=\"%s\"", why);
		syncd_fail(s, KV_EINVAL);
		return;
	}
	if (syncd_find_nodes(s, dns) < 0)
		log_error("nodes not all looked for");
	syncd_look(s);
	syncd_changed(s);
}

/* ---- the beginning ---- */

static uint16_t
syncd_sibling(void *user, struct kv_slice dialled)
{
	const struct syncd *s = user;
	char address[RUNDIR_ADDRESS_TEXT];

	return rundir_find(s->rundir, dialled, address);
}

static int
syncd_open_replica(struct syncd *s)
{
	const struct syncd_self *self = syncd_store_self(s->adapter);
	struct replica_config config = {
		.uid = self->uid,
		.inc = self->inc,
		.start = self->start,
		.name = conf_node(s->conf),
		.port = gate_port(s->gate),
		.timeout_ms = (uint32_t)conf_u64(s->conf, CONF_SYNC_TIMEOUT),
		.value_max = (size_t)conf_u64(s->conf, CONF_VALUE_MAX),
		.retention_ms = conf_u64(s->conf, CONF_RETENTION),
		.lineage = self->lineage,
		.seed = rng_u64(),
		.sibling = syncd_sibling,
		.sibling_user = s,
		.services = services_hooks(s->desk->services),
	};
	uint64_t segment = conf_u64(s->conf, CONF_SEGMENT_SIZE);

	/* A batch, and the value that came on top of it, fit the log. */
	if (segment / 8 < SYNCD_BATCH_MAX)
		config.tuning.batch_bytes = (uint32_t)(segment / 8);

	return replica_new(&config, syncd_store_ops(s->adapter), &s->replica);
}

static int
syncd_check_name(const struct syncd *s, char *why, size_t size)
{
	const char *name = conf_node(s->conf);

	if (strlen(name) <= FRAME_NAME_MAX)
		return KV_OK;
	snprintf(why, size, "name: \"%s\": expected at most %d characters",
	    name, FRAME_NAME_MAX);
	return KV_EINVAL;
}

static int
syncd_open_parts(struct syncd *s, char *why, size_t size)
{
	int rc;

	if ((rc = syncd_check_name(s, why, size)) < 0 ||
	    (rc = keys_load_first(s->conf, &s->ring, why, size)) < 0 ||
	    (rc = members_new(conf_node(s->conf), s->seed, &s->members)) < 0 ||
	    (rc = limits_new(syncd_now(s), &s->limits)) < 0 ||
	    (rc = clocks_new(&s->clocks)) < 0 ||
	    (rc = syncd_store_new(s->engine, &s->adapter)) < 0)
		return rc;
	/* Without one, others of this host are found by their ports only. */
	(void)!rundir_open(conf_node(s->conf), &s->rundir);
	syncd_set_nodes(s); /* our own entry may tell the port */
	if ((rc = gate_open(s, &s->gate, why, size)) < 0 ||
	    (rc = desk_open(s, &s->desk)) < 0 ||
	    (rc = syncd_open_replica(s)) < 0 ||
	    (rc = report_open(s, &s->report)) < 0 ||
	    (rc = syncd_find_nodes(s, false)) < 0)
		return rc;
	return loop_add(s->loop, &s->wake);
}

int
syncd_open(struct syncd *s, struct loop *loop, struct engine *e,
    struct conf *conf, char *why, size_t size)
{
	struct loop_hooks hooks = { .before_sleep = syncd_before_sleep,
		.turn_begin = syncd_turn_begin,
		.turn_end = syncd_turn_end,
		.arg = s };

	why[0] = '\0';
	note_remove(e, NOTE_NODES); /* of the one before us */
	s->loop = loop;
	s->engine = e;
	s->conf = conf;
	s->seed = rng_u64() | 1;
	s->timer.expired = syncd_timer;
	s->due.expired = syncd_dial;
	gather_init(&s->gather);
	s->stop_limit.expired = syncd_stop_now;
	s->wake = (struct loop_source){ .ready = syncd_woken,
		.fd = engine_wake_fd(e),
		.events = EPOLLIN };
	loop_set_hooks(loop, &hooks);
	syncd_look(s);
	return syncd_open_parts(s, why, size);
}

void
syncd_close(struct syncd *s)
{
	struct peer *p, *next;

	dial_stop_all(s);
	DL_FOREACH_SAFE(s->peers, p, next) {
		peer_unlink(p);
		peer_free(p);
	}
	watch_close(s->watch);
	lan_close(s->lan);
	gate_close(s->gate);
	if (s->replica != NULL)
		replica_free(s->replica);
	desk_close(s->desk);
	report_close(s->report);
	rundir_close(s->rundir);
	syncd_store_free(s->adapter);
	clocks_free(s->clocks);
	limits_free(s->limits);
	members_free(s->members);
	psk_ring_release(s->ring);
	conf_free(s->conf);
}
