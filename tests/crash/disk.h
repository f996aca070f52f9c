/* SPDX-License-Identifier: ISC */
#ifndef KV_CRASH_DISK_H
#define KV_CRASH_DISK_H

/* Files as a disk has them: what is durable, and what may or may not have got
 * there; and names for them.  For image.c alone; a header because each .c here
 * is a program. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 4096
#define NAMES_MAX 256
#define NAME_MAX_LEN 256
#define BLOCK 4096
#define SECTOR 512
#define NOT_DONE UINT64_MAX
#define SUPERSEDED (UINT64_MAX - 1)

/* One that is not durable yet. */
struct pending {
	uint64_t event, done;
	uint64_t offset, len; /* len 0: resize to offset */
	const char *data;     /* NULL: zeros */
	bool grows;
};

struct file {
	uint64_t inode;
	char *bytes; /* durable */
	uint64_t size, room;
	struct pending *pending;
	size_t count, cap;
};

struct name {
	char path[NAME_MAX_LEN];
	struct file *file; /* NULL: a folder */
};

struct names {
	struct name list[NAMES_MAX];
	size_t count;
};

static struct file *files[FILES_MAX];
static size_t file_count;

static _Noreturn void
give_up(const char *what, const char *object)
{
	fprintf(stderr, "image: %s %s: %s\n", what, object, strerror(errno));
	exit(2);
}

/* ---- files ---- */

static inline void
file_resize(struct file *f, uint64_t size)
{
	if (size > f->room) {
		uint64_t room = size + size / 2 + BLOCK;

		if ((f->bytes = realloc(f->bytes, room)) == NULL)
			give_up("memory", "");
		memset(f->bytes + f->room, 0, room - f->room);
		f->room = room;
	}
	if (size < f->size)
		memset(f->bytes + size, 0, f->size - size);
	f->size = size;
}

static inline void
file_apply(struct file *f, const struct pending *p, uint64_t from, uint64_t to)
{
	if (p->len == 0) {
		if (!p->grows || p->offset > f->size)
			file_resize(f, p->offset);
		return;
	}
	if (to > f->size)
		file_resize(f, to);
	assert(f->bytes != NULL);
	if (p->data == NULL)
		memset(f->bytes + from, 0, to - from);
	else
		memcpy(f->bytes + from, p->data + (from - p->offset),
		    to - from);
}

static inline void
file_add(struct file *f, const struct pending *p)
{
	if (f->count == f->cap) {
		f->cap = f->cap == 0 ? 64 : f->cap * 2;
		f->pending = realloc(f->pending, f->cap * sizeof(*p));
		if (f->pending == NULL)
			give_up("memory", "");
	}
	f->pending[f->count++] = *p;
}

/* What was written there before p cannot come back once p is durable. */
static inline void
file_forget(struct file *f, size_t count, const struct pending *p)
{
	uint64_t from = p->offset, to = p->offset + p->len;
	size_t i;

	for (i = 0; p->len > 0 && i < count; i++) {
		struct pending *old = &f->pending[i], rest = *old;
		uint64_t end = old->offset + old->len;

		if (old->len == 0 || old->offset >= to || end <= from)
			continue;
		if (end > to) {
			rest.offset = to;
			rest.len = end - to;
			if (rest.data != NULL)
				rest.data += to - old->offset;
		}
		/* The part before, or the one behind; both: one is added,
		 * out of order but of a range that nobody else has. */
		if (old->offset < from) {
			old->len = from - old->offset;
			if (end > to)
				file_add(f, &rest);
		} else if (end > to)
			*old = rest;
		else
			old->done = SUPERSEDED;
	}
}

/* Make durable what was done before event `before`, or one event only. */
static inline void
file_settle(struct file *f, uint64_t before, uint64_t only)
{
	size_t i, kept = 0;

	for (i = 0; i < f->count; i++) {
		struct pending p = f->pending[i];

		if (p.done == SUPERSEDED)
			continue;
		if (only == NOT_DONE ? p.done < before : p.event == only) {
			file_apply(f, &p, p.offset, p.offset + p.len);
			file_forget(f, kept, &p);
		} else
			f->pending[kept++] = p;
	}
	f->count = kept;
}

static inline struct file *
file_new(uint64_t inode)
{
	struct file *f = calloc(1, sizeof(*f));

	if (f == NULL || file_count == FILES_MAX)
		give_up("files", "too many");
	f->inode = inode;
	files[file_count++] = f;
	return f;
}

/* Inodes are used again: the newest one counts. */
static inline struct file *
file_find(uint64_t inode)
{
	size_t i;

	for (i = file_count; i-- > 0;)
		if (files[i]->inode == inode)
			return files[i];
	return NULL;
}

/* ---- names ---- */

static inline struct name *
names_find(struct names *n, const char *path)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		if (strcmp(n->list[i].path, path) == 0)
			return &n->list[i];
	return NULL;
}

static inline void
names_remove(struct names *n, const char *path)
{
	struct name *x = names_find(n, path);

	if (x != NULL)
		*x = n->list[--n->count];
}

static inline void
names_set(struct names *n, const char *path, struct file *f)
{
	struct name *x = names_find(n, path);

	if (x == NULL && n->count == NAMES_MAX)
		give_up("names", "too many");
	if (x == NULL)
		x = &n->list[n->count++];
	snprintf(x->path, sizeof(x->path), "%.*s", NAME_MAX_LEN - 1, path);
	x->file = f;
}

#endif
