/* SPDX-License-Identifier: ISC */

/* Looking in: status, processes, verification, and the library itself. */

#include "base/err.h"
#include "base/log.h"
#include "conf/load.h"
#include "engine/maintain.h"
#include "lib/embed.h"

#include <errno.h>
#include <signal.h>

const char *
kv_error(int rc)
{
	return err_text(rc);
}

const char *
kv_version(void)
{
	return KV_VERSION;
}

void
kv_log(const char *name, int level)
{
	static const enum log_level levels[] = { LOG_LEVEL_ERROR,
		LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

	if (level < 0)
		level = 0;
	if (level > 3)
		level = 3;
	log_init(name, levels[level]);
}

int
kv_default_dir(char *to, size_t size)
{
	struct conf_error error;
	struct conf *conf;
	const char *dir;
	int rc;

	if ((rc = load_conf(NULL, &conf, &error)) < 0)
		return rc;
	dir = conf_text(conf, CONF_DIR);
	if (strlen(dir) < size)
		memcpy(to, dir, strlen(dir) + 1);
	else
		rc = KV_ETOOBIG;
	conf_free(conf);
	return rc;
}

int
kv_sync(struct kv *kv, int timeout_ms)
{
	return upkeep_sync(kv, kv->unsynced, timeout_ms);
}

#define LOOK(field) atomic_load_explicit(&(field), memory_order_relaxed)

static void
read_counters(const struct control_stats *s, struct kv_status *out)
{
	out->appends = LOOK(s->appends);
	out->records = LOOK(s->records);
	out->rolls = LOOK(s->rolls);
	out->stalls = LOOK(s->stalls);
	out->stall_ns = LOOK(s->stall_ns);
	out->syncs = LOOK(s->syncs);
	out->sync_bytes = LOOK(s->sync_bytes);
	out->sync_ns = LOOK(s->sync_ns);
	out->checkpoints = LOOK(s->checkpoints);
	out->checkpoint_records = LOOK(s->checkpoint_records);
	out->checkpoint_ns = LOOK(s->checkpoint_ns);
	out->expired = LOOK(s->expired);
	out->purged = LOOK(s->purged);
	out->owner_deaths = LOOK(s->owner_deaths);
	out->repaired = LOOK(s->repaired);
}

void
kv_status(struct kv *kv, struct kv_status *out)
{
	const struct control *c = engine_control(kv->engine);
	uint32_t trouble = engine_trouble(kv->engine);

	*out = (struct kv_status){ .store_id = c->store_id,
		.segment_size = c->segment_size,
		.opened_ms = c->made_ms,
		.appended = LOOK(c->wal_end),
		.durable = LOOK(c->durable),
		.checkpointed = LOOK(c->checkpointed),
		.segments = LOOK(c->segment_hi) - LOOK(c->segment_lo) + 1,
		.buckets = LOOK(c->buckets),
		.seq = __atomic_load_n(&c->seq, __ATOMIC_RELAXED),
		.durability = (enum kv_durability)(LOOK(c->durability) + 1) };
	if (trouble != 0)
		out->trouble = engine_trouble_text(trouble);
	read_counters(&c->stats, out);
}

static const char *
role_name(uint32_t role)
{
	static const char *const names[] = {
		[ROLE_NONE] = "none",
		[ROLE_WORKER] = "worker",
		[ROLE_WALWRITER] = "walwriter",
		[ROLE_CHECKPOINTER] = "checkpointer",
		[ROLE_SYNCD] = "syncd",
		[ROLE_LIBRARY] = "library",
	};

	return role < sizeof(names) / sizeof(names[0]) ? names[role] : "?";
}

/* Slots of dead processes stay until somebody takes them. */
static bool
is_there(uint32_t pid)
{
	return pid != 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

size_t
kv_processes(struct kv *kv, struct kv_process *to, size_t room)
{
	const struct control *c = engine_control(kv->engine);
	size_t i, n = 0;

	for (i = 0; i < CONTROL_PROCESSES; i++) {
		const struct control_process *p = &c->processes[i];
		uint32_t pid = LOOK(p->pid);

		if (!is_there(pid))
			continue;
		if (n++ >= room)
			continue;
		to[n - 1] = (struct kv_process){ .pid = pid,
			.role = role_name(LOOK(p->role)),
			.port = (uint16_t)LOOK(p->port),
			.clients = LOOK(p->clients),
			.requests = LOOK(p->requests),
			.started_ms = LOOK(p->started_ms) };
	}
	return n;
}

int
kv_verify(struct kv *kv, void (*report)(void *user, const char *line),
    void (*progress)(void *user, uint64_t done, uint64_t of), void *user)
{
	if (kv->in_turn)
		return KV_EINVAL;
	return engine_verify(kv->engine, report, progress, user);
}
