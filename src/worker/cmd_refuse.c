/* SPDX-License-Identifier: ISC */
/* What there is nothing of here, said in a way that clients can go on from. */

#include "worker/auth.h"
#include "worker/cmd.h"

int
cmd_debug(struct call *c)
{
	return call_error(c,
	    "ERR DEBUG command not allowed. If the enable-debug-command option"
	    " is set to \"local\", you can run it from a local connection,"
	    " otherwise you need to set this option in the configuration file,"
	    " and then restart the server.");
}

int
cmd_replicaof(struct call *c)
{
	if (slice_is_word(c->args[1], "no") &&
	    slice_is_word(c->args[2], "one")) {
		reply_ok(c->reply); /* so it is */
		return KV_OK;
	}
	return call_error(c,
	    "ERR hosts share buckets by kv-syncd: see nodes in kvd.conf(5)");
}

int
cmd_sync(struct call *c)
{
	return call_error(c,
	    "ERR no replicas of Redis' kind: hosts share buckets by kv-syncd,"
	    " see nodes in kvd.conf(5)");
}

int
cmd_cluster(struct call *c)
{
	static const struct cmd_sub subs[] = { { NULL, 0, NULL } };

	if (c->sub != NULL || slice_is_word(c->args[1], "help"))
		return cmd_dispatch(c, subs);
	return call_error(c, "ERR This instance has cluster support disabled");
}

int
cmd_lolwut(struct call *c)
{
	reply_verbatim(c->reply, "txt",
	    slice_of("milk SET TO 1\n\nkv ver. " KV_VERSION "\n"));
	return KV_OK;
}

static int
refuse_none(struct call *c)
{
	reply_array(c->reply, 0);
	return KV_OK;
}

static int
refuse_done(struct call *c)
{
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_module(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "list", 2, refuse_none },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}

/* No scripts: nothing to list, nothing left after a flush. */
int
cmd_function(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "flush", -2, refuse_done },
		{ "list", -2, refuse_none },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}

int
cmd_script(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "flush", -2, refuse_done },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}

/* ---- ACL: the one user there is ---- */

static int
acl_whoami(struct call *c)
{
	reply_text(c->reply, "default");
	return KV_OK;
}

static int
acl_users(struct call *c)
{
	reply_array(c->reply, 1);
	return acl_whoami(c);
}

static int
acl_list(struct call *c)
{
	reply_array(c->reply, 1);
	reply_text(c->reply,
	    auth_is_needed(c->worker) ? "user default on ~* &* +@all"
				      : "user default on nopass ~* &* +@all");
	return KV_OK;
}

static int
acl_cat(struct call *c)
{
	static const char *const names[] = { "fast", "slow", "read", "write" };
	size_t i;

	reply_array(c->reply, 4);
	for (i = 0; i < 4; i++)
		reply_text(c->reply, names[i]);
	return KV_OK;
}

int
cmd_acl(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "whoami", 2, acl_whoami },
		{ "users", 2, acl_users },
		{ "list", 2, acl_list },
		{ "cat", 2, acl_cat },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}
