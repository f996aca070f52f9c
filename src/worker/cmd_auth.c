/* SPDX-License-Identifier: ISC */
/* AUTH, and what HELLO needs of it. */

#include "worker/auth.h"
#include "worker/cmd.h"
#include "worker/multi.h"

static bool
auth_wrong(struct call *c)
{
	call_error(c,
	    c->command == NULL ? "wrong password"
			       : "WRONGPASS invalid username-password pair or"
				 " user is disabled.");
	return false;
}

bool
cmd_auth_user(struct call *c, struct kv_slice user, struct kv_slice password)
{
	if (!slice_equal(user, slice_of("default")))
		return auth_wrong(c);
	if (!auth_is_needed(c->worker))
		return true; /* as Redis does: its user has no password */
	switch (auth_check(c->session, password)) {
	case AUTH_RIGHT:
		c->session->flags &= (uint16_t)~SESSION_GUEST;
		return true;
	case AUTH_LATER:
		if (!multi_is_open(c->session)) {
			call_hold(c);
			return false;
		}
		auth_forget(c->session); /* EXEC waits for nothing */
		call_error(c, "ERR Command not allowed inside a transaction");
		return false;
	case AUTH_TOO_MANY:
		call_errorf(c,
		    "%stoo many clients wait for their password to"
		    " be checked",
		    c->command == NULL ? "" : "ERR ");
		return false;
	case AUTH_WRONG:
		break;
	}
	return auth_wrong(c);
}

int
cmd_auth(struct call *c)
{
	struct kv_slice user = slice_of("default");
	bool line = c->command == NULL;

	if (c->argc > 3)
		return call_error(c, "ERR syntax error");
	if (c->argc == 2 && !auth_is_needed(c->worker))
		return call_error(c,
		    line ? "there is no password"
			 : "ERR AUTH <password> called without any password"
			   " configured for the default user. Are you sure"
			   " your configuration is correct?");
	if (c->argc == 3)
		user = c->args[1];
	if (!cmd_auth_user(c, user, c->args[c->argc - 1]))
		return KV_OK;
	if (line)
		line_ok(c->reply);
	else
		reply_ok(c->reply);
	return KV_OK;
}
