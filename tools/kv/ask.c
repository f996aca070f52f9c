/* SPDX-License-Identifier: ISC */

/* Commands over a connection. */

#include "ask.h"

int
ask(struct tool *t, const struct kv_value **reply, size_t count,
    const struct kv_slice *args)
{
	struct kv_slice text;
	int rc;

	if ((rc = kv_client_call(t->client, count, args, reply)) < 0)
		return tool_failed(t, args[0].data, rc);
	if (kv_value_type(*reply) != KV_FAILURE)
		return EXIT_FINE;
	text = kv_value_text(*reply);
	tool_say("%s: %.*s", t->where, (int)text.len, text.data);
	return EXIT_TROUBLE;
}

int
ask_bucket(struct tool *t)
{
	const struct kv_value *reply;
	int code;

	code = ASK(t, &reply, kv_text("EXISTS"), tool_arg(t, 0));
	if (code != EXIT_FINE)
		return code;
	return kv_value_integer(reply) > 0 ? EXIT_FINE : tool_no_bucket(t);
}
