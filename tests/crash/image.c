/* SPDX-License-Identifier: ISC */
/* What a power cut may leave on the disk, from a trace.
 *
 *	image TRACE BASE
 *
 * BASE: the folder as it was when the trace began ("-": empty).  Then line by
 * line from stdin, cuts in ascending order:
 *
 *	cut EVENT SEED FOLDER	write into FOLDER what may be there after a cut
 *				just before that event
 *
 * There is for certain: what a sync covered that had returned.  A sync of a file
 * covers the writes to it that had returned before it was asked for, a durable
 * write itself, a sync of a folder the names in it.  All other writes are there
 * or not, block by block of 4096, some torn at 512; other changes of names are
 * there or not, but for those that follow from a lost one. */

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "disk.h"
#include "trace.h"

struct change {
	uint64_t event, done;
	char from[NAME_MAX_LEN]; /* goes, if not empty */
	char to[NAME_MAX_LEN];	 /* comes, if not empty */
	struct file *file;
};

static struct trace trace;
static uint64_t *done_of; /* event -> its DONE, NOT_DONE */
static struct names durable;
static struct change changes[NAMES_MAX];
static size_t change_count;
static const char *base;
static uint64_t random_state;

static uint64_t
rnd(uint64_t below)
{
	uint64_t x = random_state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (x ^ x >> 31) % below;
}

static void
file_load(struct file *f, const char *path)
{
	char full[PATH_MAX + NAME_MAX_LEN];
	struct stat st;
	FILE *in;

	snprintf(full, sizeof(full), "%s/%s", base, path);
	if ((in = fopen(full, "rb")) == NULL || fstat(fileno(in), &st) < 0)
		give_up("open", full);
	file_resize(f, (uint64_t)st.st_size);
	if (fread(f->bytes, 1, f->size, in) != f->size)
		give_up("read", full);
	fclose(in);
}

static void
names_apply(struct names *n, const struct change *c)
{
	if (c->from[0] != '\0')
		names_remove(n, c->from);
	if (c->to[0] != '\0')
		names_set(n, c->to, c->file);
}

static bool
is_in(const char *path, const char *folder)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	return path[0] != '\0' && strlen(folder) == len &&
	    memcmp(path, folder, len) == 0;
}

static void
changes_settle(const char *folder, uint64_t before)
{
	size_t i, kept = 0;

	for (i = 0; i < change_count; i++) {
		struct change *c = &changes[i];

		if (c->done < before &&
		    (is_in(c->from, folder) || is_in(c->to, folder)))
			names_apply(&durable, c);
		else
			changes[kept++] = *c;
	}
	change_count = kept;
}

/* ---- the trace ---- */

/* A file of the base: now we know its inode. */
static void
take_open(const struct trace_event *e)
{
	struct name *n = names_find(&durable, trace.data + e->data);

	if (n != NULL && n->file != NULL && n->file->inode == 0)
		n->file->inode = e->file;
}

/* All that is in the base, "" or a folder in it with '/' behind. */
static void
load_base(const char *folder)
{
	char full[PATH_MAX + NAME_MAX_LEN], path[NAME_MAX_LEN * 2];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(full, sizeof(full), "%s/%s", base, folder);
	if ((dir = opendir(full)) == NULL)
		give_up("open", full);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s%s", folder, entry->d_name);
		snprintf(full, sizeof(full), "%s/%s", base, path);
		if (stat(full, &st) < 0)
			give_up("stat", full);
		if (S_ISDIR(st.st_mode)) {
			names_set(&durable, path, NULL);
			snprintf(path, sizeof(path), "%s%s/", folder,
			    entry->d_name);
			load_base(path);
		} else {
			struct file *f = file_new(0);

			file_load(f, path);
			names_set(&durable, path, f);
		}
	}
	closedir(dir);
}

static void
take_change(uint64_t n, const struct trace_event *e)
{
	const char *first = trace.data + e->data;
	struct change *c = &changes[change_count];
	uint64_t done = done_of[n];

	if (done == NOT_DONE || (int64_t)trace.events[done].len < 0)
		return;
	if (++change_count == NAMES_MAX)
		give_up("changes", "too many");
	*c = (struct change){ .event = n, .done = done };
	if (e->type == TRACE_CREATE)
		c->file = file_new(trace.events[done].file);
	else if (e->type == TRACE_RENAME)
		c->file = file_find(e->file);
	if (e->type == TRACE_RENAME || e->type == TRACE_UNLINK)
		snprintf(c->from, sizeof(c->from), "%s", first);
	if (e->type == TRACE_RENAME)
		first += strlen(first) + 1;
	if (e->type != TRACE_UNLINK)
		snprintf(c->to, sizeof(c->to), "%s", first);
}

static void
take_write(uint64_t n, const struct trace_event *e)
{
	struct pending p = { .event = n,
		.done = done_of[n],
		.offset = e->offset,
		.data = e->type == TRACE_WRITE ? trace.data + e->data : NULL,
		.grows = e->aux != 0 };
	struct file *f = file_find(e->file);

	if (f == NULL)
		give_up("write to a file that was never opened", "");
	if (p.done == NOT_DONE || (int64_t)trace.events[p.done].len < 0)
		return;
	if (e->type != TRACE_RESIZE && (p.len = trace.events[p.done].len) == 0)
		return;
	file_add(f, &p);
}

static void
take_done(uint64_t n, const struct trace_event *e)
{
	const struct trace_event *of = &trace.events[e->aux];
	struct file *f = file_find(of->file);

	(void)n;
	if ((int64_t)e->len < 0)
		return;
	if ((of->type == TRACE_WRITE || of->type == TRACE_ZERO) && of->aux != 0)
		file_settle(f, 0, e->aux);
	else if (of->type == TRACE_SYNC && of->aux != 0)
		changes_settle(trace.data + of->data, e->aux);
	else if (of->type == TRACE_SYNC && f != NULL)
		file_settle(f, e->aux, NOT_DONE);
}

static void
take(uint64_t n)
{
	const struct trace_event *e = &trace.events[n];

	switch ((enum trace_type)e->type) {
	case TRACE_OPEN:
		take_open(e);
		break;
	case TRACE_CREATE:
	case TRACE_MKDIR:
	case TRACE_RENAME:
	case TRACE_UNLINK:
		take_change(n, e);
		break;
	case TRACE_WRITE:
	case TRACE_ZERO:
	case TRACE_RESIZE:
		take_write(n, e);
		break;
	case TRACE_DONE:
		take_done(n, e);
		break;
	case TRACE_HOLE:
	case TRACE_SYNC:
	case TRACE_SENT:
	case TRACE_ACKED:
	case TRACE_DEAD:
		break;
	}
}

static int
find_ends(void)
{
	uint64_t n, count = trace_count(&trace);

	if ((done_of = calloc(count + 1, sizeof(*done_of))) == NULL)
		return -1;
	for (n = 0; n < count; n++)
		done_of[n] = NOT_DONE;
	for (n = 0; n < count; n++)
		if (trace.events[n].type == TRACE_DONE)
			done_of[trace.events[n].aux] = n;
	return 0;
}

/* ---- an image ---- */

enum style {
	STYLE_ALL,    /* everything reached the disk */
	STYLE_NONE,   /* nothing that need not */
	STYLE_HALF,   /* each block, half and half */
	STYLE_FEW,    /* one in ten */
	STYLE_MOST,   /* nine in ten */
	STYLE_TORN,   /* half, half of these torn at sectors */
	STYLE_PREFIX, /* all up to some write, which is torn */
	STYLE_NEWEST, /* the newest writes only */
	STYLES
};

struct luck {
	enum style style;
	uint64_t bound; /* event: PREFIX, NEWEST */
};

static unsigned
luck_of(const struct luck *l, uint64_t event)
{
	static const unsigned percent[STYLES] = { 100, 0, 50, 10, 90, 50, 0,
		0 };

	if (l->style == STYLE_PREFIX)
		return event < l->bound ? 100 : event == l->bound ? 50 : 0;
	if (l->style == STYLE_NEWEST)
		return event >= l->bound ? 100 : 0;
	return percent[l->style];
}

static void
apply_by_luck(struct file *f, const struct pending *p, const struct luck *l)
{
	unsigned percent = luck_of(l, p->event);
	uint64_t end = p->offset + p->len, at, next, sector;

	if (p->done == SUPERSEDED)
		return;
	if (p->len == 0) {
		if (rnd(100) < percent)
			file_apply(f, p, 0, 0);
		return;
	}
	for (at = p->offset; at < end; at = next) {
		bool torn =
		    (l->style == STYLE_TORN || l->style == STYLE_PREFIX) &&
		    percent < 100 && rnd(2) == 0;

		next = (at / BLOCK + 1) * BLOCK;
		next = next < end ? next : end;
		if (!torn && rnd(100) < percent)
			file_apply(f, p, at, next);
		for (sector = at; torn && sector < next;) {
			uint64_t to = (sector / SECTOR + 1) * SECTOR;

			to = to < next ? to : next;
			if (rnd(100) < percent)
				file_apply(f, p, sector, to);
			sector = to;
		}
	}
}

static void
write_file(const struct file *f, const char *folder, const char *path,
    const struct luck *l)
{
	struct file copy = { 0 };
	char full[PATH_MAX + NAME_MAX_LEN];
	size_t i;
	FILE *out;

	file_resize(&copy, f->size);
	if (f->size > 0)
		memcpy(copy.bytes, f->bytes, f->size);
	for (i = 0; i < f->count; i++)
		apply_by_luck(&copy, &f->pending[i], l);
	snprintf(full, sizeof(full), "%s/%s", folder, path);
	if ((out = fopen(full, "wb")) == NULL ||
	    fwrite(copy.bytes, 1, copy.size, out) != copy.size ||
	    fchmod(fileno(out), 0600) < 0 || fclose(out) != 0)
		give_up("write", full);
	free(copy.bytes);
}

static bool
depends(const struct change *c, const struct change *on)
{
	if (c->file != NULL && c->file == on->file)
		return true;
	return (on->to[0] != '\0' &&
		   (strcmp(c->from, on->to) == 0 ||
		       strcmp(c->to, on->to) == 0)) ||
	    (on->from[0] != '\0' &&
		(strcmp(c->from, on->from) == 0 ||
		    strcmp(c->to, on->from) == 0));
}

static bool
is_under(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static size_t
choose_names(struct names *n, const struct luck *l)
{
	bool lost[NAMES_MAX] = { false };
	size_t i, j, kept = 0;

	*n = durable;
	for (i = 0; i < change_count; i++) {
		lost[i] = rnd(100) >= luck_of(l, changes[i].event);
		for (j = 0; j < i && !lost[i]; j++)
			lost[i] = lost[j] &&
			    (depends(&changes[i], &changes[j]) ||
				is_under(changes[i].to, changes[j].to));
		if (!lost[i]) {
			names_apply(n, &changes[i]);
			kept++;
		}
	}
	return kept;
}

/* A file in a folder whose name is lost is lost with it. */
static bool
is_reachable(struct names *n, const char *path)
{
	char folder[NAME_MAX_LEN];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	while ((slash = strrchr(folder, '/')) != NULL) {
		*slash = '\0';
		if (names_find(n, folder) == NULL)
			return false;
	}
	return true;
}

static void
make_folders(const struct names *n, const char *folder)
{
	char full[PATH_MAX + NAME_MAX_LEN];
	size_t i;

	if (mkdir(folder, 0700) < 0)
		give_up("mkdir", folder);
	for (i = 0; i < n->count; i++) {
		if (n->list[i].file != NULL)
			continue;
		snprintf(full, sizeof(full), "%s/%s", folder, n->list[i].path);
		if (mkdir(full, 0700) < 0)
			give_up("mkdir", full);
	}
}

static void
image(uint64_t event, uint64_t seed, const char *folder)
{
	struct luck l = { .bound = 0 };
	static struct names n;
	uint64_t oldest = event;
	size_t i, pending = 0, kept;

	random_state = seed;
	l.style = (enum style)rnd(STYLES);
	for (i = 0; i < file_count; i++) {
		pending += files[i]->count;
		if (files[i]->count > 0 && files[i]->pending[0].event < oldest)
			oldest = files[i]->pending[0].event;
	}
	l.bound = oldest + (event > oldest ? rnd(event - oldest) : 0);
	kept = choose_names(&n, &l);
	make_folders(&n, folder);
	for (i = 0; i < n.count; i++)
		if (n.list[i].file != NULL && is_reachable(&n, n.list[i].path))
			write_file(n.list[i].file, folder, n.list[i].path, &l);
	printf("made style=%d pending=%zu names=%zu/%zu\n", (int)l.style,
	    pending, kept, change_count);
	fflush(stdout);
}

/* Events around which much can go wrong, for who chooses the cuts. */
static void
tell_events(void)
{
	uint64_t n, count = trace_count(&trace);

	printf("events %" PRIu64 "\n", count);
	for (n = 0; n < count; n++) {
		const struct trace_event *e = &trace.events[n];

		if (e->type == TRACE_RENAME || e->type == TRACE_CREATE ||
		    (e->type == TRACE_SYNC && e->aux != 0))
			printf("names %" PRIu64 "\n", n);
		else if (e->type == TRACE_SYNC &&
		    strncmp(trace.data + e->data, "tree/", 5) == 0)
			printf("tree %" PRIu64 "\n", n);
	}
	printf("end\n");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	uint64_t at = 0, event, seed;
	char line[PATH_MAX + 100], folder[PATH_MAX];

	if (argc != 3 || trace_map(argv[1], &trace) < 0 || find_ends() < 0) {
		fprintf(stderr, "image TRACE BASE\n");
		return 2;
	}
	if (strcmp(argv[2], "-") != 0)
		base = argv[2];
	if (base != NULL)
		load_base("");
	tell_events();
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "cut %" SCNu64 " %" SCNu64 " %4095s", &event,
			&seed, folder) != 3 ||
		    event < at)
			give_up("bad line", line);
		while (at < event && at < trace_count(&trace))
			take(at++);
		image(event, seed, folder);
	}
	return 0;
}
