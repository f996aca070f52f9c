/* SPDX-License-Identifier: ISC */
/* FIFOs that wake event loops. */

#include "shm/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

struct wake {
	char *folder;
	unsigned slots;
	int fds[]; /* -1: not opened yet */
};

int
wake_new(const char *folder, unsigned slots, struct wake **out)
{
	struct wake *w;
	unsigned i;

	w = calloc(1, sizeof(*w) + slots * sizeof(w->fds[0]));
	if (w == NULL)
		return KV_ENOMEM;
	w->slots = slots;
	for (i = 0; i < slots; i++)
		w->fds[i] = -1;
	if ((w->folder = strdup(folder)) == NULL) {
		free(w);
		return KV_ENOMEM;
	}
	*out = w;
	return KV_OK;
}

void
wake_free(struct wake *w)
{
	unsigned i;

	if (w == NULL)
		return;
	for (i = 0; i < w->slots; i++)
		if (w->fds[i] >= 0)
			close(w->fds[i]);
	free(w->folder);
	free(w);
}

int
wake_descriptor(struct wake *w, unsigned slot, int *out)
{
	char path[PATH_MAX];

	if (w->fds[slot] < 0) {
		snprintf(path, sizeof(path), "%s/%u.wake", w->folder, slot);
		if (mkfifo(path, 0600) < 0 && errno != EEXIST)
			return err_system("mkfifo", path);
		w->fds[slot] = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (w->fds[slot] < 0)
			return err_system("open", path);
	}
	*out = w->fds[slot];
	return KV_OK;
}

void
wake_send(struct wake *w, unsigned slot)
{
	int fd;

	if (wake_descriptor(w, slot, &fd) < 0)
		return;
	/* A full FIFO has woken its reader already. */
	if (write(fd, "", 1) < 0 && errno != EAGAIN)
		err_system("write", "wake");
}

void
wake_drain(struct wake *w, unsigned slot)
{
	char bytes[256];

	while (read(w->fds[slot], bytes, sizeof(bytes)) > 0)
		continue;
}
