/* SPDX-License-Identifier: ISC */
/* Options about other nodes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <unistd.h>

#include "conf/load.h"
#include "conf/value.h"

/* The configuration of this command line, words split at blanks, where the
 * environment says nothing. */
static int
load(const char *line, struct conf **out)
{
	char text[256], program[] = "kvd", none[] = "/dev/null", c[] = "-c";
	char *argv[16] = { program, c, none }, *word, *rest = text;
	struct conf_error e;
	struct flags flags;
	int argc = 3, rc;

	unsetenv("NODES");
	unsetenv("PORT");
	setenv("HOME", "/home/u", 1);
	assert_true(strlen(line) < sizeof(text));
	memcpy(text, line, strlen(line) + 1);
	while ((word = strsep(&rest, " ")) != NULL)
		argv[argc++] = word;
	if (argv[3][0] == '\0')
		argc = 3;
	assert_int_equal(flags_parse(argc, argv, &flags, &e), KV_OK);
	rc = load_conf(&flags, out, &e);
	flags_free(&flags);
	return rc;
}

static void
assert_default(const char *line, enum conf_id id, const char *expected)
{
	struct conf *c;

	assert_int_equal(load(line, &c), KV_OK);
	assert_string_equal(conf_text(c, id), expected);
	assert_string_equal(conf_origin(c, id), "default");
	conf_free(c);
}

static void
assert_node(const char *text, const char *name, const char *host, uint16_t port)
{
	struct value_node node;

	if (name == NULL) {
		assert_false(value_node(slice_of(text), &node));
		return;
	}
	assert_true(value_node(slice_of(text), &node));
	assert_true(slice_equal(node.name, slice_of(name)));
	assert_true(slice_equal(node.host, slice_of(host)));
	assert_int_equal(node.port, port);
}

static void
a_node_is_a_name_a_host_and_perhaps_a_port(void **state)
{
	(void)state;
	assert_node("foo@jv", "foo", "jv", 0);
	assert_node("a.b-c_d@a.example:4071", "a.b-c_d", "a.example", 4071);
	assert_node("x@10.0.0.7:1", "x", "10.0.0.7", 1);
	assert_node("x@fe80::1%eth0", "x", "fe80::1%eth0", 0);
	assert_node("x@[::1]:65535", "x", "::1", 65535);
	assert_node("x@[::1]", "x", "::1", 0);
	assert_node("x@::1", "x", "::1", 0);
	assert_node("@jv", NULL, NULL, 0);
	assert_node("foo", NULL, NULL, 0);
	assert_node("foo@", NULL, NULL, 0);
	assert_node("foo@jv:", NULL, NULL, 0);
	assert_node("foo@jv:0", NULL, NULL, 0);
	assert_node("foo@jv:65536", NULL, NULL, 0);
	assert_node("foo@jv:x", NULL, NULL, 0);
	assert_node("foo@[jv]:1", NULL, NULL, 0);
	assert_node("foo@[::1]1", NULL, NULL, 0);
	assert_node("foo@[::1", NULL, NULL, 0);
	assert_node("foo@a@b", NULL, NULL, 0);
	assert_node("foo@a/b", NULL, NULL, 0);
}

static void
whoever_looks_for_nodes_listens_to_them_everywhere(void **state)
{
	struct conf *c;

	(void)state;
	assert_int_equal(load("", &c), KV_OK);
	assert_false(conf_has_sync(c));
	assert_string_equal(conf_text(c, CONF_SYNC_BIND), "");
	conf_free(c);
	assert_default("--nodes a@b", CONF_SYNC_BIND, "0.0.0.0,::");
	assert_default("--dns app.internal", CONF_SYNC_BIND, "0.0.0.0,::");
	assert_default("--beacon yes", CONF_SYNC_BIND, "0.0.0.0,::");
	assert_int_equal(load("--nodes a@b --sync-bind ::1", &c), KV_OK);
	assert_string_equal(conf_text(c, CONF_SYNC_BIND), "::1");
	conf_free(c);
	assert_int_equal(load("--sync-bind 127.0.0.1", &c), KV_OK);
	assert_true(conf_has_sync(c) && !conf_has_nodes(c));
	conf_free(c);
}

/* As long as nobody made one for the whole host. */
static void
all_nodes_of_a_user_have_one_cookie_file(void **state)
{
	(void)state;
	if (geteuid() == 0 && access("/etc/kv/cookie", F_OK) == 0)
		skip();
	assert_default("--sname foo", CONF_COOKIE_FILE, "/home/u/.kv.cookie");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_is_a_name_a_host_and_perhaps_a_port),
		cmocka_unit_test(
		    whoever_looks_for_nodes_listens_to_them_everywhere),
		cmocka_unit_test(all_nodes_of_a_user_have_one_cookie_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
