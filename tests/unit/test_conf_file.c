/* SPDX-License-Identifier: ISC */
/* The syntax of the configuration file. */

#include "conf/conffile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct conf_error e;

#define PORTS_EXPECTED                                                         \
	"expected ports from 0 to 65535, such as 4050 or 4050,4060-4062"

static int
parse(const char *text, struct conf **out)
{
	int rc;

	assert_int_equal(conf_new(out), KV_OK);
	if ((rc = conffile_parse(*out, slice_of(text), "f", &e)) < 0)
		conf_free(*out);
	return rc;
}

static void
a_file_may_have_comments_one_section_and_lists_over_lines(void **state)
{
	struct conf *c;

	(void)state;
	assert_int_equal(parse("; one\n[kvd]\n# two\r\n"
			       "nodes = a@b ; three\r\n  c@d,\n\te@f\n"
			       "nodes = g@h\nport:5",
			     &c),
	    KV_OK);
	assert_string_equal(conf_text(c, CONF_NODES), "a@b,c@d,e@f,g@h");
	assert_string_equal(conf_origin(c, CONF_NODES), "f:7");
	assert_string_equal(conf_text(c, CONF_PORT), "5");
	conf_free(c);
	assert_int_equal(parse("", &c), KV_OK);
	conf_free(c);
}

static void
assert_file_refused(const char *text, const char *expected)
{
	struct conf *c;

	assert_int_equal(parse(text, &c), KV_EINVAL);
	assert_string_equal(e.text, expected);
}

static void
an_error_in_a_file_names_file_and_line(void **state)
{
	char line[600];

	(void)state;
	assert_file_refused("\nport = x\nprot = 1\n",
	    "port: \"x\" (f:2): " PORTS_EXPECTED);
	assert_file_refused("prot = 1\n",
	    "unknown option \"prot\" (f:1), did you mean \"port\"?");
	assert_file_refused("[a]\nport = 1\n",
	    "f:2: unknown section, expected [kvd] or none");
	assert_file_refused("port\nprot = 1\n", "f:1: expected name = value");
	assert_file_refused("prot = 1\nport\n",
	    "unknown option \"prot\" (f:1), did you mean \"port\"?");
	assert_file_refused("dir = /a\n\ndir = /b\n",
	    "dir: given in f:1 and again in f:3 (an indented line goes on "
	    "with the one above)");
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	memcpy(line, "nodes=", 6);
	assert_file_refused(line,
	    "f:1: the line is too long, expected at most 197 characters (a "
	    "list may go on in the next line, indented)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_file_may_have_comments_one_section_and_lists_over_lines),
		cmocka_unit_test(an_error_in_a_file_names_file_and_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
