/* SPDX-License-Identifier: ISC */
/* Options: values, sources, precedence, errors, the way to a child. */

#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "conf/conffile.h"
#include "conf/load.h"
#include "conf/print.h"
#include "io/file.h"

static char dir[64];
static struct conf_error e;

/* An environment in which nothing of ours is set. */
static int
set_up(void **state)
{
	static const char *const names[] = { "PORT", "NODES", "KV_ENV",
		"KV_PORT", "KV_DIR", "KV_DURABILITY", "KV_SEGMENT_SIZE",
		"KV_BIND" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	snprintf(dir, sizeof(dir), "/tmp/kv-test-conf.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	setenv("HOME", dir, 1);
	setenv("XDG_STATE_HOME", dir, 1);
	setenv("XDG_CONFIG_HOME", dir, 1);
	e.text[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* The configuration of this command line, words split at blanks. */
static int
load(const char *line, struct conf **out)
{
	char copy[512], *argv[32], *save = NULL;
	struct flags flags;
	int argc = 0, rc;

	snprintf(copy, sizeof(copy), "kvd %s", line);
	argv[argc] = strtok_r(copy, " ", &save);
	while (argv[argc] != NULL)
		argv[++argc] = strtok_r(NULL, " ", &save);
	rc = flags_parse(argc, argv, &flags, &e);
	if (rc == KV_OK)
		rc = load_conf(&flags, out, &e);
	flags_free(&flags);
	return rc;
}

static void
assert_value(const char *line, enum conf_id id, const char *value,
    const char *origin)
{
	struct conf *c;

	if (load(line, &c) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(conf_text(c, id), value);
	assert_string_equal(conf_origin(c, id), origin);
	conf_free(c);
}

static void
assert_refused(const char *line, const char *text)
{
	struct conf *c;

	assert_int_equal(load(line, &c), KV_EINVAL);
	assert_string_equal(e.text, text);
}

#define PORTS_EXPECTED                                                         \
	"expected ports from 0 to 65535, such as 4050 or 4050,4060-4062"

static void
the_port_is_4050_and_4040_in_tests(void **state)
{
	(void)state;
	assert_value("", CONF_PORT, "4050", "default");
	setenv("KV_ENV", "test", 1);
	assert_value("", CONF_PORT, "4040", "default for KV_ENV=test");
	assert_value("-p 7", CONF_PORT, "7", "flag -p");
}

static void
a_flag_beats_the_environment_beats_the_file_beats_the_default(void **state)
{
	char path[128], line[160], origin[160];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_non_null(f = fopen(path, "w"));
	fputs("# ports\nport = 1\n", f);
	fclose(f);
	snprintf(line, sizeof(line), "-c %s", path);
	snprintf(origin, sizeof(origin), "%s:2", path);
	assert_value(line, CONF_PORT, "1", origin);
	setenv("PORT", "2", 1);
	assert_value(line, CONF_PORT, "2", "environment PORT");
	setenv("KV_PORT", "3", 1);
	assert_value(line, CONF_PORT, "3", "environment KV_PORT");
	snprintf(line, sizeof(line), "--port=4 -c %s", path);
	assert_value(line, CONF_PORT, "4", "flag --port");
}

static void
a_list_of_ports_takes_ranges_blanks_and_random_ports(void **state)
{
	uint16_t ports[VALUE_PORTS_MAX];
	struct conf *c;

	(void)state;
	assert_int_equal(load("-p 4050,4060-4062,0,0", &c), KV_OK);
	assert_int_equal(conf_u64(c, CONF_PORT), 6);
	assert_int_equal(conf_ports(c, ports), 6);
	assert_int_equal(ports[0], 4050);
	assert_int_equal(ports[1], 4060);
	assert_int_equal(ports[3], 4062);
	assert_int_equal(ports[5], 0);
	conf_free(c);
	setenv("PORT", " 1, 2  3 ", 1);
	assert_value("", CONF_PORT, "1,2,3", "environment PORT");
}

static void
a_bad_port_is_one_line_with_its_source_and_what_was_expected(void **state)
{
	static const char *const bad[] = { "abc", "70000", "-1", "65536", "1-",
		"2-1", "0-3", "+1", "1.5", "4050,4050", "1-3,2", "0x10" };
	char line[64], text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "-p %s", bad[i]);
		snprintf(text, sizeof(text),
		    "port: \"%s\" (flag -p): " PORTS_EXPECTED, bad[i]);
		assert_refused(line, text);
	}
	setenv("PORT", "", 1);
	assert_refused("", "port: \"\" (environment PORT): " PORTS_EXPECTED);
}

static void
a_value_is_refused_with_its_range_or_its_choices(void **state)
{
	(void)state;
	assert_refused("--workers 0",
	    "workers: \"0\" (flag --workers): expected a number from 1 to 64");
	assert_refused("--set segment_size=1g",
	    "segment_size: \"1g\" (flag --set): expected a size from 1m to "
	    "512m (units k, m, g, t)");
	assert_refused("--idle-timeout 1y",
	    "idle_timeout: \"1y\" (flag --idle-timeout): expected a time from "
	    "0 to 365d (units ms, s, m, h, d)");
	assert_refused("--durability never",
	    "durability: \"never\" (flag --durability): expected one of "
	    "always, everysec, os");
	assert_refused("--bind localhost",
	    "bind: \"localhost\" (flag --bind): expected IPv4 or IPv6 "
	    "addresses, such as 127.0.0.1");
	assert_refused("--sname a@b",
	    "sname: \"a@b\" (flag --sname): expected a name of letters, "
	    "digits, - and _");
}

static void
an_unknown_name_gets_the_nearest_known_one_suggested(void **state)
{
	(void)state;
	assert_refused("--prot 1", "unknown flag --prot, did you mean --port?");
	assert_refused("--value_mx=1",
	    "unknown flag --value_mx, did you mean --value-max?");
	assert_refused("--set durabilty=os",
	    "unknown option \"durabilty\" (flag --set), did you mean "
	    "\"durability\"?");
	assert_refused("--xyzzy", "unknown flag --xyzzy, see kvd --help");
	assert_refused("--json -x", "unknown flag -x, see kvd --help");
	assert_refused("-p", "flag -p needs a value");
	assert_refused("-n=3", "unknown flag -=, see kvd --help");
	assert_refused("--check=3", "flag --check takes no value");
	assert_refused("--set port", "--set: \"port\": expected name=value");
	assert_refused("4050", "unexpected argument \"4050\", see kvd --help");
}

static void
a_misspelt_variable_is_refused_and_a_foreign_one_is_not(void **state)
{
	struct conf *c;

	(void)state;
	setenv("KV_BIN", "build", 1);
	setenv("KV_ROUNDS", "3", 1);
	assert_int_equal(load("", &c), KV_OK);
	conf_free(c);
	setenv("KV_DURABILTY", "os", 1);
	assert_refused("",
	    "unknown option KV_DURABILTY (environment), did you mean "
	    "KV_DURABILITY?");
	unsetenv("KV_DURABILTY");
	unsetenv("KV_ROUNDS");
	unsetenv("KV_BIN");
}

static void
an_empty_value_means_that_it_is_not_given(void **state)
{
	struct conf *c;

	(void)state;
	setenv("NODES", "", 1);
	assert_value("", CONF_NODES, "", "environment NODES");
	unsetenv("NODES");
	assert_int_equal(load("--set sname= --set dir=", &c), KV_OK);
	assert_true(conf_text(c, CONF_DIR)[0] == '/');
	conf_free(c);
	assert_refused("--set shm_dir=",
	    "shm_dir: \"\" (flag --set): expected the path of a file or "
	    "folder");
}

static void
a_strange_value_is_shown_in_one_printable_line(void **state)
{
	struct conf *c;

	(void)state;
	setenv("PORT", "1\n\033[31m2", 1);
	assert_refused("",
	    "port: \"1??[31m2\" (environment PORT): " PORTS_EXPECTED);
	assert_int_equal(conf_new(&c), KV_OK);
	assert_int_equal(conf_set(c, CONF_DIR, "/a\nport = 1", CONF_BY_FLAG,
			     "test", &e),
	    KV_EINVAL);
	conf_free(c);
}

static void
options_that_contradict_each_other_are_refused(void **state)
{
	(void)state;
	assert_refused("--sname a --name b@c",
	    "sname: \"a\" (flag --sname) and name: \"b@c\" (flag --name): "
	    "expected one of them");
	assert_refused("--value-max 32m",
	    "value_max: \"32m\" (flag --value-max): expected less than half "
	    "of segment_size, which is 64m (default)");
	assert_refused("--segment-size 1048577",
	    "segment_size: \"1048577\" (flag --segment-size): expected a "
	    "multiple of 4k");
	assert_refused("--bind 127.0.0.1,0.0.0.0",
	    "bind: \"0.0.0.0\" (flag --bind): expected 127.0.0.1 or ::1, as "
	    "there is no password for clients of other hosts");
	assert_refused("--workers 64 -p 1-9",
	    "port: 9 ports (flag -p) with 64 workers each (flag --workers): "
	    "expected no more than 112 workers in all");
}

static void
a_small_segment_lowers_only_a_value_limit_that_nobody_chose(void **state)
{
	(void)state;
	assert_value("--segment-size 1m", CONF_VALUE_MAX, "256k",
	    "default for segment_size");
	assert_value("--segment-size 1m --value-max 300k", CONF_VALUE_MAX,
	    "300k", "flag --value-max");
}

static void
numbers_are_in_bytes_and_milliseconds_and_shown_with_units(void **state)
{
	struct conf *c;

	(void)state;
	assert_int_equal(load("--idle-timeout 90 --set map_size=2048k", &c),
	    KV_OK);
	assert_int_equal(conf_u64(c, CONF_IDLE_TIMEOUT), 90000);
	assert_string_equal(conf_text(c, CONF_IDLE_TIMEOUT), "90s");
	assert_int_equal(conf_u64(c, CONF_MAP_SIZE), 2 << 20);
	assert_string_equal(conf_text(c, CONF_MAP_SIZE), "2m");
	assert_int_equal(conf_u64(c, CONF_RETENTION), 7 * 86400000ull);
	assert_int_equal(conf_u64(c, CONF_DURABILITY), 0);
	assert_int_equal(conf_u64(c, CONF_LOG_LEVEL), 2);
	conf_free(c);
}

static void
two_nodes_of_one_user_have_two_folders(void **state)
{
	char expected[128];
	struct conf *c;

	(void)state;
	if (geteuid() == 0)
		snprintf(expected, sizeof(expected), "/var/lib/kv/foo");
	else
		snprintf(expected, sizeof(expected), "%s/kv/foo", dir);
	assert_value("--sname foo", CONF_DIR, expected, "default");
	assert_int_equal(load("--name foo@a.example", &c), KV_OK);
	assert_string_equal(conf_node(c), "foo@a.example");
	assert_true(
	    strstr(conf_text(c, CONF_DIR), "/kv/foo@a.example") != NULL);
	conf_free(c);
}

static void
a_missing_file_is_an_error_only_when_it_was_asked_for(void **state)
{
	struct conf *c;

	(void)state;
	assert_int_equal(load("", &c), KV_OK);
	conf_free(c);
	assert_int_equal(load("-c /nowhere/kvd.conf", &c), KV_ENOTFOUND);
	assert_string_equal(e.text,
	    "config: \"/nowhere/kvd.conf\": No such file or directory");
}

static void
what_is_printed_is_a_file_with_the_same_meaning(void **state)
{
	struct conf *c, *again;
	struct buf out;
	enum conf_id id;

	(void)state;
	buf_init(&out);
	assert_int_equal(load("-p 1,2 --nodes a@b --sname x", &c), KV_OK);
	assert_int_equal(print_config(c, &out), KV_OK);
	assert_int_equal(conf_new(&again), KV_OK);
	if (conffile_parse(again, buf_slice(&out), "f", &e) < 0)
		fail_msg("%s", e.text);
	for (id = 0; id < CONF_COUNT; id++)
		assert_string_equal(conf_text(c, id), conf_text(again, id));
	conf_free(c);
	conf_free(again);
	buf_fini(&out);
}

static void
a_child_gets_the_same_values_over_its_control_socket(void **state)
{
	struct conf *c, *child;
	struct buf out;
	enum conf_id id;
	int pair[2];

	(void)state;
	buf_init(&out);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(load("--name a@b --durability os -p 0 --dir /x;y", &c),
	    KV_OK);
	assert_int_equal(buf_printf(&out, "config\n"), KV_OK);
	assert_int_equal(conf_write(c, &out), KV_OK);
	assert_int_equal(send(pair[0], out.data, out.len, 0), out.len);
	assert_int_equal(conf_from_parent(pair[1], &child), KV_OK);
	for (id = 0; id < CONF_COUNT; id++)
		assert_string_equal(conf_text(c, id), conf_text(child, id));
	assert_string_equal(conf_node(child), "a@b");
	assert_int_equal(conf_u64(child, CONF_DURABILITY), 2);
	conf_free(c);
	conf_free(child);
	buf_fini(&out);
	close(pair[0]);
	assert_int_equal(conf_from_parent(pair[1], &child), KV_EPROTO);
	close(pair[1]);
	assert_int_equal(conf_from_parent(pair[1], &child), KV_EINVAL);
}

static void
every_option_stands_in_the_help(void **state)
{
	struct buf help;
	enum conf_id id;

	(void)state;
	buf_init(&help);
	assert_int_equal(print_help(&help), KV_OK);
	assert_int_equal(buf_append(&help, "", 1), KV_OK);
	for (id = 0; id < CONF_COUNT; id++) {
		assert_true(strlen(options_get(id)->help) > 10);
		assert_non_null(strstr(help.data, options_get(id)->argument));
	}
	buf_fini(&help);
}

/* make: `kvd --help-options-mdoc` goes between .Bl and .El of the page. */
static void
the_manual_has_the_table_of_options_as_it_is(void **state)
{
	struct buf page, table;

	(void)state;
	buf_init(&page);
	buf_init(&table);
	/* Tests run at the top of the tree; a build may have defaults of its
	 * own, the page has ours. */
	if (file_read("man/kvd.conf.5", 1 << 20, &page) < 0 ||
	    KV_BUILD_SEGMENT_SIZE != 64 * CONF_M ||
	    KV_BUILD_VALUE_MAX != 16 * CONF_M) {
		buf_fini(&page);
		skip();
	}
	assert_int_equal(print_mdoc(&table), KV_OK);
	assert_int_equal(buf_append(&page, "", 1), KV_OK);
	assert_int_equal(buf_append(&table, "", 1), KV_OK);
	assert_non_null(strstr(page.data, table.data));
	buf_fini(&page);
	buf_fini(&table);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(the_port_is_4050_and_4040_in_tests),
		T(a_flag_beats_the_environment_beats_the_file_beats_the_default),
		T(a_list_of_ports_takes_ranges_blanks_and_random_ports),
		T(a_bad_port_is_one_line_with_its_source_and_what_was_expected),
		T(a_value_is_refused_with_its_range_or_its_choices),
		T(an_unknown_name_gets_the_nearest_known_one_suggested),
		T(a_misspelt_variable_is_refused_and_a_foreign_one_is_not),
		T(an_empty_value_means_that_it_is_not_given),
		T(a_strange_value_is_shown_in_one_printable_line),
		T(options_that_contradict_each_other_are_refused),
		T(a_small_segment_lowers_only_a_value_limit_that_nobody_chose),
		T(numbers_are_in_bytes_and_milliseconds_and_shown_with_units),
		T(two_nodes_of_one_user_have_two_folders),
		T(a_missing_file_is_an_error_only_when_it_was_asked_for),
		T(what_is_printed_is_a_file_with_the_same_meaning),
		T(a_child_gets_the_same_values_over_its_control_socket),
		T(every_option_stands_in_the_help),
		T(the_manual_has_the_table_of_options_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
