/* SPDX-License-Identifier: ISC */

/* Passwords: making the hash that kvd knows one by, and saying one. */

#include "passwd.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 512

/* A line of a file without its end; false: none, empty or too long. */
static bool
read_line(FILE *f, char to[PASSWORD_MAX + 2])
{
	size_t len;

	if (fgets(to, PASSWORD_MAX + 2, f) == NULL)
		return false;
	len = strcspn(to, "\r\n");
	if (len > PASSWORD_MAX || len == 0)
		return false;
	to[len] = '\0';
	return true;
}

/* From the terminal, without showing it. */
static bool
ask_terminal(const char *prompt, char to[PASSWORD_MAX + 2])
{
	struct termios shown, hidden;
	bool fine;

	if (tcgetattr(STDIN_FILENO, &shown) < 0)
		return false;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(stderr, "%s: ", prompt);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	fine = read_line(stdin, to);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	return fine;
}

static int
read_password(char to[PASSWORD_MAX + 2])
{
	char again[PASSWORD_MAX + 2];
	bool terminal = isatty(STDIN_FILENO), same = true;
	bool fine =
	    terminal ? ask_terminal("password", to) : read_line(stdin, to);

	if (!fine) {
		tool_say("expected a password of 1 to %d bytes", PASSWORD_MAX);
		return EXIT_USAGE;
	}
	if (terminal) {
		same = ask_terminal("again", again) && strcmp(to, again) == 0;
		sodium_memzero(again, sizeof(again));
	}
	if (!same)
		tool_say("the two are not the same");
	return same ? EXIT_FINE : EXIT_USAGE;
}

static int
write_failed(const char *path)
{
	tool_say("%s: %s", path, strerror(errno));
	return EXIT_TROUBLE;
}

/* Whole or not at all, for our eyes only. */
static int
write_hash(const char *path, const char *hash)
{
	char name[4096];
	bool fine;
	int fd, code;

	if (snprintf(name, sizeof(name), "%s.XXXXXX", path) >=
	    (int)sizeof(name)) {
		errno = ENAMETOOLONG;
		return write_failed(path);
	}
	if ((fd = mkostemp(name, O_CLOEXEC)) < 0) /* mode 0600 */
		return write_failed(name);
	fine = dprintf(fd, "%s\n", hash) > 0 && fsync(fd) == 0;
	fine = close(fd) == 0 && fine;
	if (fine && rename(name, path) == 0)
		return EXIT_FINE;
	code = write_failed(path);
	unlink(name);
	return code;
}

static int
passwd_alone(struct tool *t)
{
	char password[PASSWORD_MAX + 2], hash[crypto_pwhash_STRBYTES];
	int code, rc;

	tool_hide();
	if (sodium_init() < 0)
		return tool_failed(t, "passwd", KV_ESYSTEM);
	if ((code = read_password(password)) != EXIT_FINE)
		return code;
	rc = crypto_pwhash_str(hash, password, strlen(password),
	    crypto_pwhash_OPSLIMIT_INTERACTIVE,
	    crypto_pwhash_MEMLIMIT_INTERACTIVE);
	sodium_memzero(password, sizeof(password));
	if (rc != 0)
		return tool_failed(t, "passwd", KV_ENOMEM);
	if (t->out != NULL)
		return write_hash(t->out, hash);
	puts(hash);
	return EXIT_FINE;
}

static const struct verb verbs[] = {
	{
	    .name = "passwd",
	    .args = "[-o FILE]",
	    .summary = "make the hash of a password, for kvd's configuration",
	    .help =
		"The password is read from the terminal, or is the first line\n"
		"of stdin. Its Argon2id hash is printed, or goes to FILE, which\n"
		"then is what password_file of kvd.conf(5) takes.\n"
		"\n"
		"  kv passwd -o /etc/kv/password\n",
	    .least = 0,
	    .most = 0,
	    .alone = passwd_alone,
	},
	{ .name = NULL },
};

const struct verb *
passwd_verbs(void)
{
	return verbs;
}

/* ---- saying it ---- */

int
passwd_say(struct tool *t)
{
	const char *path =
	    t->secret != NULL ? t->secret : getenv("KV_SECRET_FILE");
	char password[PASSWORD_MAX + 2];
	const struct kv_value *reply;
	struct kv_slice text;
	FILE *f;
	int rc;

	if (path == NULL || path[0] == '\0')
		return EXIT_FINE;
	tool_hide();
	if ((f = fopen(path, "re")) == NULL)
		return write_failed(path);
	rc = read_line(f, password) ? KV_OK : KV_EINVAL;
	fclose(f);
	if (rc < 0) {
		tool_say("%s: expected a line of 1 to %d bytes", path,
		    PASSWORD_MAX);
		return EXIT_USAGE;
	}
	rc = kv_client_call(t->client,
	    KV_ARGS(kv_text("AUTH"), kv_text(password)), &reply);
	sodium_memzero(password, sizeof(password));
	if (rc < 0)
		return tool_failed(t, "AUTH", rc);
	if (kv_value_type(reply) != KV_FAILURE)
		return EXIT_FINE;
	text = kv_value_text(reply);
	tool_say("%s: %.*s", t->where, (int)text.len, text.data);
	return EXIT_TROUBLE;
}
