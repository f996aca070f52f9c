/* SPDX-License-Identifier: ISC */
/* Roles: who writes the log out, who moves it into the tree. */

#include "engine/internal.h"
#include "engine/maintain.h"
#include "io/file.h"

int
maintain_take(struct engine *e, enum control_role role, bool wait)
{
	int rc;

	if (e->roles & (1u << role))
		return KV_EEXIST;
	rc = file_lock(e->lock_fd, LOCK_ROLE + (off_t)role, FILE_LOCK_EXCLUSIVE,
	    wait);
	if (rc == KV_OK)
		e->roles |= 1u << role;
	/* We were waiting because there was a holder, who may have died. */
	if (rc == KV_OK && wait && e->wake != NULL)
		engine_wake_all(e);
	return rc;
}

void
maintain_leave(struct engine *e, enum control_role role)
{
	if (role == ROLE_WALWRITER)
		writer_free(e); /* the next holder may rename the files */
	else if (role == ROLE_CHECKPOINTER)
		checkpointer_free(e);
	e->roles &= ~(1u << role);
	file_unlock(e->lock_fd, LOCK_ROLE + (off_t)role);
}

static int
settle_log(struct engine *e)
{
	int rc, sleep_ms = 0;

	do {
		if ((rc = writer_flush(e)) < 0)
			return rc;
		if ((rc = checkpoint_step(e, true, &sleep_ms)) < 0)
			return rc;
		if (engine_trouble(e) != 0)
			return KV_ENOSPC;
	} while (sleep_ms == 0);
	return KV_OK;
}

int
maintain_settle(struct engine *e)
{
	int rc;

	if ((rc = maintain_take(e, ROLE_WALWRITER, false)) < 0)
		return rc;
	if ((rc = maintain_take(e, ROLE_CHECKPOINTER, false)) == KV_OK) {
		rc = settle_log(e);
		maintain_leave(e, ROLE_CHECKPOINTER);
	}
	maintain_leave(e, ROLE_WALWRITER);
	return rc;
}
