/* SPDX-License-Identifier: ISC */
/* A kvd and its children for tests, all of them this same program. */

#include "kvd_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/load.h"
#include "io/file.h"
#include "io/parent.h"
#include "io/sock.h"
#include "supervisor/supervisor.h"

/* ---- the fakes ---- */

static const char *fake_name;

static void
journal(const struct conf *c, const char *event)
{
	char path[256], line[128];
	int fd, n;

	snprintf(path, sizeof(path), "%s/journal", conf_text(c, CONF_DIR));
	n = snprintf(line, sizeof(line), "%s %s\n", event, fake_name);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

/* What this fake is to do; a mode is for one start. */
static void
fake_obey(const struct conf *c)
{
	char path[256];
	struct buf mode;

	buf_init(&mode);
	snprintf(path, sizeof(path), "%s/mode-%s", conf_text(c, CONF_DIR),
	    fake_name);
	if (file_read(path, 100, &mode) < 0)
		return;
	unlink(path);
	if (slice_equal(buf_slice(&mode), slice_of("fail"))) {
		parent_failed("no good store");
		exit(1);
	}
	if (slice_equal(buf_slice(&mode), slice_of("exit 1")))
		exit(1);
	if (slice_equal(buf_slice(&mode), slice_of("exit 75")))
		exit(PARENT_TRY_AGAIN);
	if (slice_equal(buf_slice(&mode), slice_of("crash")))
		raise(SIGKILL);
	buf_fini(&mode);
}

static void
fake_told(struct conf **c, struct buf *body)
{
	enum parent_verb verb;
	char event[64];

	if (parent_receive(&verb, body) < 0)
		return;
	if (verb == PARENT_STOP) {
		journal(*c, "stop");
		exit(0);
	}
	if (verb != PARENT_RELOAD)
		return;
	conf_free(*c);
	if (conf_read(buf_slice(body), c) < 0)
		abort();
	snprintf(event, sizeof(event), "reload %s",
	    conf_text(*c, CONF_OUTPUT_LIMIT));
	journal(*c, event);
}

static int
fake_main(int argc, char **argv)
{
	struct pollfd fds[8] = { { .fd = PARENT_FD, .events = POLLIN } };
	nfds_t i, count = 1 + parent_listeners();
	struct buf body;
	struct conf *c;

	if (conf_from_parent(PARENT_FD, &c) < 0)
		return 1;
	fake_obey(c);
	journal(c, argc > 1 ? argv[1] : "start");
	for (i = 1; i < count; i++) {
		fds[i].fd = PARENT_LISTEN_FD + (int)i - 1;
		fds[i].events = POLLIN;
	}
	buf_init(&body);
	parent_ready();
	while (poll(fds, count, -1) >= 0) {
		for (i = 1; i < count; i++) {
			int fd = fds[i].revents == 0
			    ? -1
			    : accept(fds[i].fd, NULL, NULL);

			if (fd >= 0) {
				dprintf(fd, "%d\n", (int)getpid());
				close(fd);
			}
		}
		if (fds[0].revents != 0)
			fake_told(&c, &body);
	}
	return 1;
}

static int
kvd_main(int argc, char **argv)
{
	struct conf_error e;
	struct flags flags;
	struct sdnotify notify;
	struct conf *c;
	int code;

	sdnotify_init(&notify);
	if (flags_parse(argc, argv, &flags, &e) < 0 ||
	    load_conf(&flags, &c, &e) < 0) {
		fprintf(stderr, "kvd: %s\n", e.text);
		return 1;
	}
	code = supervisor_run(c, &flags, &notify);
	flags_free(&flags);
	return code;
}

/* ---- a kvd under test ---- */

char rig_store[96];
char rig_config[96];
pid_t rig_kvd;
int rig_log = -1;
char rig_text[RIG_TEXT_MAX];
static size_t rig_len;
static char rig_top[64];   /* the folder of the test */
static int rig_given = -1; /* listening socket for the next kvd */

static void
link_program(const char *name)
{
	char path[128], self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	snprintf(path, sizeof(path), "%s/%s", rig_top, name);
	if (link(self, path) < 0) { /* another file system */
		char command[512];

		snprintf(command, sizeof(command), "cp %s %s", self, path);
		assert_int_equal(system(command), 0);
	}
}

void
rig_write_text(const char *path, const char *text)
{
	assert_int_equal(file_write(path, slice_of(text), 0600), KV_OK);
}

void
rig_set_mode(const char *program, const char *mode)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/mode-%s", rig_store, program);
	rig_write_text(path, mode);
}

int
rig_set_up(void **state)
{
	static const char *const names[] = { "PORT", "NODES", "KV_ENV",
		"KV_PORT", "KV_LOG_LEVEL", "NOTIFY_SOCKET", "WATCHDOG_USEC",
		"WATCHDOG_PID" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	signal(SIGPIPE, SIG_IGN);
	snprintf(rig_top, sizeof(rig_top), "/var/tmp/kv-test-kvd.XXXXXX");
	if (mkdtemp(rig_top) == NULL)
		return -1;
	snprintf(rig_store, sizeof(rig_store), "%s/store", rig_top);
	snprintf(rig_config, sizeof(rig_config), "%s/kvd.conf", rig_top);
	if (mkdir(rig_store, 0700) < 0)
		return -1;
	link_program("kvd");
	link_program("kv-worker");
	link_program("kv-walwriter");
	link_program("kv-checkpointer");
	rig_kvd = 0;
	return 0;
}

int
rig_tear_down(void **state)
{
	char command[128];

	(void)state;
	if (rig_kvd > 0) {
		kill(rig_kvd, SIGKILL);
		waitpid(rig_kvd, NULL, 0);
	}
	if (rig_log >= 0)
		close(rig_log);
	rig_log = rig_given = -1;
	snprintf(command, sizeof(command), "rm -rf %s", rig_top);
	return system(command);
}

void
rig_give(int fd)
{
	rig_given = fd;
}

/* In the child: as sd_listen_fds(3) wants it. */
static void
rig_hand_over(void)
{
	char pid[16];

	if (rig_given < 0)
		return;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	if (rig_given == SDNOTIFY_LISTEN_FD)
		fcntl(rig_given, F_SETFD, 0);
	else
		dup2(rig_given, SDNOTIFY_LISTEN_FD);
}

void
rig_start(const char *text)
{
	char path[128], dir_flag[] = "-d", config_flag[] = "-c", name[] = "kvd";
	char *argv[] = { name, dir_flag, rig_store, config_flag, rig_config,
		NULL };
	int out[2];

	rig_write_text(rig_config, text);
	snprintf(path, sizeof(path), "%s/kvd", rig_top);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	if ((rig_kvd = fork()) == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		rig_hand_over();
		execv(path, argv);
		_exit(127);
	}
	close(out[1]);
	rig_log = out[0];
	rig_len = 0;
	rig_text[0] = '\0';
}

void
rig_expect(const char *wanted)
{
	struct pollfd p = { .fd = rig_log, .events = POLLIN };
	ssize_t n = 1;

	while (wanted == NULL || strstr(rig_text, wanted) == NULL) {
		if (n > 0 && poll(&p, 1, RIG_PATIENCE_MS) == 1)
			n = read(rig_log, rig_text + rig_len,
			    sizeof(rig_text) - 1 - rig_len);
		else
			n = -1;
		if (n == 0 && wanted == NULL)
			return;
		if (n <= 0)
			fail_msg("never came: %s; but: %s",
			    wanted == NULL ? "the end" : wanted, rig_text);
		rig_len += (size_t)n;
		rig_text[rig_len] = '\0';
	}
}

void
rig_expect_anew(void)
{
	rig_len = 0;
	rig_text[0] = '\0';
}

void
rig_expect_exit(int code)
{
	int status;

	rig_expect(NULL);
	assert_int_equal(waitpid(rig_kvd, &status, 0), rig_kvd);
	rig_kvd = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

int
rig_listening_port(int which)
{
	const char *at = rig_text;
	int i;

	for (i = 0; i <= which; i++) {
		assert_non_null(at = strstr(at, "listen port="));
		at += strlen("listen port=");
	}
	return atoi(at);
}

pid_t
rig_ask_port(int port)
{
	char text[32];
	int fd;
	struct pollfd p;

	assert_int_equal(sock_connect_tcp("127.0.0.1", (uint16_t)port,
			     RIG_PATIENCE_MS, &fd),
	    KV_OK);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, RIG_PATIENCE_MS), 1);
	assert_true(read(fd, text, sizeof(text)) > 1);
	close(fd);
	return atoi(text);
}

void
rig_ask_control(const char *request, char *to, size_t size)
{
	char path[192];
	struct pollfd p;
	size_t len = 0;
	ssize_t n = 1;
	int fd;

	snprintf(path, sizeof(path), "%s/kvd-%d.sock", rig_store, (int)rig_kvd);
	assert_int_equal(sock_connect_unix(path, RIG_PATIENCE_MS, &fd), KV_OK);
	assert_true(send(fd, request, strlen(request), 0) > 0);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	while (n > 0) {
		assert_int_equal(poll(&p, 1, RIG_PATIENCE_MS), 1);
		n = read(fd, to + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	to[len] = '\0';
	close(fd);
}

void
rig_assert_journal(const char *expected)
{
	struct buf text;
	char path[128];

	buf_init(&text);
	snprintf(path, sizeof(path), "%s/journal", rig_store);
	assert_int_equal(file_read(path, 10000, &text), KV_OK);
	assert_int_equal(buf_append(&text, "", 1), KV_OK);
	assert_string_equal(text.data, expected);
	buf_fini(&text);
}

int
rig_free_port(void)
{
	int fd, port;

	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 1, &fd), KV_OK);
	port = sock_port(fd);
	close(fd);
	return port;
}

int
rig_main(int argc, char **argv)
{
	fake_name = strrchr(argv[0], '/');
	fake_name = fake_name == NULL ? argv[0] : fake_name + 1;
	if (strcmp(fake_name, "kvd") == 0)
		return kvd_main(argc, argv);
	if (strncmp(fake_name, "kv-", 3) == 0)
		return fake_main(argc, argv);
	return -1;
}
