/* SPDX-License-Identifier: ISC */

/* Bytes, colours, JSON. */

#include "print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define QUIET_MS 1000 /* before progress shows */

bool
print_is_terminal(void)
{
	static int known = -1;

	if (known < 0)
		known = isatty(STDOUT_FILENO);
	return known != 0;
}

/* Length of the UTF-8 character at p (RFC 3629) that a terminal may see, or 0:
 * not controls, and not C1 controls in two bytes either. */
static size_t
harmless(const unsigned char *p, size_t n)
{
	size_t len, i;

	if (p[0] >= 0x20 && p[0] < 0x7f)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	for (i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xe0 && p[1] < 0xa0) ||
	    (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void
print_escaped(struct kv_slice s, bool quotes)
{
	const unsigned char *p = (const unsigned char *)s.data;
	size_t i = 0, len;

	while (i < s.len) {
		if (p[i] == '\\' || (quotes && p[i] == '"')) {
			printf("\\%c", p[i++]);
		} else if ((len = harmless(p + i, s.len - i)) > 0) {
			fwrite(p + i, 1, len, stdout);
			i += len;
		} else if (p[i] == '\n' || p[i] == '\r' || p[i] == '\t') {
			printf("\\%c",
			    p[i] == '\n'       ? 'n'
				: p[i] == '\r' ? 'r'
					       : 't');
			i++;
		} else {
			printf("\\x%02x", p[i++]);
		}
	}
}

void
print_bytes(struct kv_slice s)
{
	if (print_is_terminal())
		print_escaped(s, false);
	else if (s.len > 0)
		fwrite(s.data, 1, s.len, stdout);
}

void
print_quoted(struct kv_slice s)
{
	putchar('"');
	print_escaped(s, true);
	putchar('"');
}

void
print_coloured(enum print_colour colour, const char *text)
{
	static const char *const codes[] = {
		[PRINT_PLAIN] = "0",
		[PRINT_GREEN] = "32",
		[PRINT_RED] = "31",
		[PRINT_DIM] = "2",
	};
	const char *no = getenv("NO_COLOR");

	if (print_is_terminal() && (no == NULL || *no == '\0'))
		printf("\033[%sm%s\033[0m", codes[colour], text);
	else
		fputs(text, stdout);
}

/* RFC 4648, section 4. */
static char *
base64(struct kv_slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)s.data;
	char *text = malloc((s.len + 2) / 3 * 4 + 1), *to = text;
	size_t i;

	for (i = 0; text != NULL && i < s.len; i += 3) {
		unsigned n = (unsigned)p[i] << 16;

		if (i + 1 < s.len)
			n |= (unsigned)p[i + 1] << 8;
		if (i + 2 < s.len)
			n |= p[i + 2];
		*to++ = digits[n >> 18];
		*to++ = digits[n >> 12 & 63];
		*to++ = i + 1 < s.len ? digits[n >> 6 & 63] : '=';
		*to++ = i + 2 < s.len ? digits[n & 63] : '=';
	}
	if (text != NULL)
		*to = '\0';
	return text;
}

json_t *
print_to_json(struct kv_slice s)
{
	json_t *value = json_stringn(s.len > 0 ? s.data : "", s.len);
	char *text;

	if (value != NULL || (text = base64(s)) == NULL)
		return value;
	value = json_pack("{s:s}", "base64", text);
	free(text);
	return value;
}

json_t *
print_number_to_json(uint64_t x)
{
	return json_sprintf("%llu", (unsigned long long)x);
}

void
print_json(json_t *value)
{
	if (value == NULL) {
		tool_say("out of memory");
		exit(EXIT_TROUBLE);
	}
	json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(value);
}

void
print_time(uint64_t ms)
{
	time_t at = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	if (localtime_r(&at, &tm) != NULL &&
	    strftime(text, sizeof(text), "%F %T", &tm) > 0)
		fputs(text, stdout);
}

void
print_progress_begin(struct print_progress *p, const char *what)
{
	*p = (struct print_progress){ what, tool_now_ms(), -1,
		isatty(STDERR_FILENO) };
}

void
print_progress(struct print_progress *p, uint64_t done, uint64_t of)
{
	int percent = of == 0 ? 0 : (int)(done * 100 / of);

	if (!p->on_terminal || percent == p->percent ||
	    tool_now_ms() - p->began_ms < QUIET_MS)
		return;
	p->percent = percent;
	fprintf(stderr, "\r%s %3d %%", p->what, percent);
}

void
print_progress_end(struct print_progress *p)
{
	if (p->percent >= 0)
		fputs("\r\033[K", stderr);
	p->percent = -1;
}

int
print_end(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (errno != EPIPE)
		tool_say("cannot write: %s", strerror(errno));
	return EXIT_TROUBLE;
}
