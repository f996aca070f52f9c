/* SPDX-License-Identifier: ISC */

/* A reply parser that keeps nothing. */

#include "skip.h"

#include <stdlib.h>
#include <string.h>

static void
note_error(struct skip *s, const char *line, size_t len)
{
	if (s->failed)
		return;
	s->failed = true;
	if (len >= sizeof(s->error))
		len = sizeof(s->error) - 1;
	memcpy(s->error, line, len);
	s->error[len] = '\0';
}

/* The number behind the type's byte; negative is null. */
static long
number_of(const char *line)
{
	return strtol(line + 1, NULL, 10);
}

/* One header line of RESP: open and bytes change accordingly. */
static void
take_header(struct skip *s, const char *line, size_t len)
{
	long n;

	if (s->open == 0)
		s->open = 1;
	s->open--;
	switch (line[0]) {
	case '$':
	case '=':
		if ((n = number_of(line)) >= 0)
			s->bytes = (size_t)n + 2;
		break;
	case '*':
	case '~':
	case '>':
		if ((n = number_of(line)) > 0)
			s->open += (size_t)n;
		break;
	case '%':
		if ((n = number_of(line)) > 0)
			s->open += 2 * (size_t)n;
		break;
	case '+':
	case ':':
	case '_':
	case ',':
	case '#':
	case '(':
		break;
	default:
		note_error(s, line, len);
		break;
	}
}

static bool
is_refusal(const char *line, size_t len)
{
	return (len >= 6 && memcmp(line, "ERROR ", 6) == 0) ||
	    (len >= 5 && memcmp(line, "-ERR ", 5) == 0) ||
	    (len == 9 && memcmp(line, "NOT FOUND", 9) == 0) ||
	    (len == 15 && memcmp(line, "UNKNOWN COMMAND", 15) == 0);
}

/* A refusal is one line whatever the answer would have been. */
static void
take_line(struct skip *s, const char *line, size_t len, unsigned lines)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (s->open == 0)
		s->open = lines;
	s->open--;
	if (is_refusal(line, len)) {
		note_error(s, line, len);
		s->open = 0;
	}
}

size_t
skip_answers(struct skip *s, const char *p, size_t n, unsigned lines,
    size_t *answers)
{
	size_t used = 0, step;
	const char *end;

	while (used < n) {
		if (s->bytes > 0) {
			step = s->bytes < n - used ? s->bytes : n - used;
			s->bytes -= step;
			used += step;
		} else {
			end = memchr(p + used, '\n', n - used);
			if (end == NULL)
				break;
			step = (size_t)(end - (p + used)) + 1;
			if (lines == 0)
				take_header(s, p + used, step - 1);
			else
				take_line(s, p + used, step - 1, lines);
			used += step;
		}
		if (s->open == 0 && s->bytes == 0)
			(*answers)++;
	}
	return used;
}
