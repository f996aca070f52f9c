/* SPDX-License-Identifier: ISC */

/* status: of a server, or of a store and the daemons on it. */

#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ask.h"
#include "print.h"
#include "tool.h"

#define DAEMON_MS 1000
#define DAEMON_BYTES (1u << 20)
#define PROCESSES_MAX 128

/* ---- showing ---- */

static void
show_leaf(const char *name, const json_t *value)
{
	char *text;

	if (name[0] != '\0')
		printf("%s: ", name);
	if (json_is_string(value)) {
		print_bytes(kv_bytes(json_string_value(value),
		    json_string_length(value)));
	} else {
		text = json_dumps(value, JSON_ENCODE_ANY);
		fputs(text != NULL ? text : "?", stdout);
		free(text);
	}
	putchar('\n');
}

/* Nested JSON as lines "a.b: value"; an array's elements on a line each. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as what we and kvd make */
static void
show_lines(const char *prefix, json_t *value)
{
	char name[256];
	const char *key;
	json_t *child;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach(value, key, child)
		{
			snprintf(name, sizeof(name), "%s%s%s", prefix,
			    prefix[0] != '\0' ? "." : "", key);
			show_lines(name, child);
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, child) show_leaf(prefix, child);
	} else {
		show_leaf(prefix, value);
	}
}

static int
show(const struct tool *t, json_t *status)
{
	if (t->json) {
		print_json(status);
		return EXIT_FINE;
	}
	show_lines("", status);
	json_decref(status);
	return EXIT_FINE;
}

/* ---- a store ---- */

static json_int_t
number(uint64_t x)
{
	return (json_int_t)x;
}

static json_t *
positions(const struct kv_status *s)
{
	static const char *const durability[] = {
		[KV_DURABILITY_ALWAYS] = "always",
		[KV_DURABILITY_EVERYSEC] = "everysec",
		[KV_DURABILITY_OS] = "os",
	};
	char id[17];

	snprintf(id, sizeof(id), "%016llx", (unsigned long long)s->store_id);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, "
			 "s:s}",
	    "id", id, "durability", durability[s->durability], "opened_ms",
	    number(s->opened_ms), "segment_size", number(s->segment_size),
	    "segments", number(s->segments), "appended", number(s->appended),
	    "durable", number(s->durable), "checkpointed",
	    number(s->checkpointed), "seq", print_number_to_json(s->seq),
	    "buckets", number(s->buckets), "trouble",
	    s->trouble != NULL ? s->trouble : "none");
}

static json_t *
counters(const struct kv_status *s)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			 "s:I, s:I, s:I, s:I, s:I}",
	    "appends", number(s->appends), "records", number(s->records),
	    "rolls", number(s->rolls), "stalls", number(s->stalls), "stall_ns",
	    number(s->stall_ns), "syncs", number(s->syncs), "sync_bytes",
	    number(s->sync_bytes), "sync_ns", number(s->sync_ns), "checkpoints",
	    number(s->checkpoints), "checkpoint_records",
	    number(s->checkpoint_records), "checkpoint_ns",
	    number(s->checkpoint_ns), "expired", number(s->expired), "purged",
	    number(s->purged), "owner_deaths", number(s->owner_deaths),
	    "repaired", number(s->repaired));
}

static json_t *
processes(struct kv *store)
{
	struct kv_process all[PROCESSES_MAX];
	size_t i, n = kv_processes(store, all, PROCESSES_MAX);
	json_t *array = json_array();

	for (i = 0; i < n && i < PROCESSES_MAX; i++) {
		const struct kv_process *p = &all[i];
		json_t *o =
		    json_pack("{s:I, s:s, s:I}", "pid", (json_int_t)p->pid,
			"role", p->role, "started_ms", number(p->started_ms));

		if (p->port != 0) {
			json_object_set_new(o, "port", json_integer(p->port));
			json_object_set_new(o, "clients",
			    json_integer(p->clients));
			json_object_set_new(o, "requests",
			    json_integer(number(p->requests)));
		}
		json_array_append_new(array, o);
	}
	return array;
}

/* ---- a daemon ---- */

static int
dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return -1;
	memcpy(a.sun_path, path, strlen(path));
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What a kvd says to "status", parsed; NULL: nobody there, or nonsense. */
static json_t *
ask_daemon(const char *path)
{
	static char text[DAEMON_BYTES];
	struct pollfd p = { .events = POLLIN };
	size_t len = 0;
	json_t *answer = NULL;
	ssize_t n = 1;

	if ((p.fd = dial(path)) < 0)
		return NULL;
	if (send(p.fd, "status\n", 7, MSG_NOSIGNAL) != 7)
		n = 0;
	while (n > 0 && answer == NULL && len < sizeof(text) &&
	    poll(&p, 1, DAEMON_MS) > 0) {
		n = read(p.fd, text + len, sizeof(text) - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		answer = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL);
	}
	close(p.fd);
	return answer;
}

static json_t *
daemons(const char *dir)
{
	json_t *array = json_array(), *answer;
	char pattern[4200];
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof(pattern), "%s/kvd-*.sock", dir);
	if (glob(pattern, 0, NULL, &found) != 0)
		return array;
	for (i = 0; i < found.gl_pathc; i++)
		if ((answer = ask_daemon(found.gl_pathv[i])) != NULL)
			json_array_append_new(array, answer);
	globfree(&found);
	return array;
}

static int
status_over_store(struct tool *t)
{
	struct kv_status status;

	kv_status(t->store, &status);
	return show(t,
	    json_pack("{s:s, s:o, s:o, s:o, s:o}", "dir", t->where, "store",
		positions(&status), "counters", counters(&status), "processes",
		processes(t->store), "daemons", daemons(t->where)));
}

/* ---- a port ---- */

/* INFO's text: "# Section" and "name:value" lines. */
static json_t *
info_to_json(struct kv_slice info)
{
	json_t *all = json_object(), *section = all;
	const char *p = info.data, *end = p + info.len, *next, *colon;
	char name[128];

	for (; p < end; p = next) {
		size_t len = strcspn(p, "\r\n");

		next = p + len + strspn(p + len, "\r\n");
		if (p[0] == '#') {
			snprintf(name, sizeof(name), "%.*s", (int)len - 2,
			    p + 2);
			section = json_object();
			json_object_set_new(all, name, section);
		} else if ((colon = memchr(p, ':', len)) != NULL) {
			snprintf(name, sizeof(name), "%.*s", (int)(colon - p),
			    p);
			json_object_set_new(section, name,
			    print_to_json(kv_bytes(colon + 1,
				len - (size_t)(colon + 1 - p))));
		}
	}
	return all;
}

static int
status_over_port(struct tool *t)
{
	const struct kv_value *reply;
	struct kv_slice text;
	char *copy;
	int code;

	if ((code = ASK(t, &reply, kv_text("INFO"))) != EXIT_FINE)
		return code;
	text = kv_value_text(reply);
	if (!t->json) {
		fwrite(text.data, 1, text.len, stdout);
		return EXIT_FINE;
	}
	if ((copy = strndup(text.data, text.len)) == NULL)
		return tool_failed(t, "status", KV_ENOMEM);
	print_json(info_to_json(kv_bytes(copy, strlen(copy))));
	free(copy);
	return EXIT_FINE;
}

static const struct verb verbs[] = {
	{
	    .name = "status",
	    .args = "",
	    .summary = "print the state of the server or the store",
	    .help =
		"Over a port: the server's INFO. On a folder: the log's\n"
		"positions, counters, the processes that have the store open,\n"
		"and what each kvd there says of its children.\n"
		"\n"
		"  kv status\n"
		"  kv -d /var/lib/kv/shop status --json | jq .store.trouble\n",
	    .least = 0,
	    .most = 0,
	    .over_port = status_over_port,
	    .over_store = status_over_store,
	},
	{ .name = NULL },
};

const struct verb *
status_verbs(void)
{
	return verbs;
}
