/* SPDX-License-Identifier: ISC */
/* fork and exec with an exact descriptor table. */

#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

/* Everything below runs in the child, between fork and exec; a failure leaves
 * errno for child_main to report. */

static int
child_set_signals(pid_t parent)
{
	/* struct sigaction of the kernel, SIG_DFL and no flags.  By system
	 * call: libc refuses to touch the two signals that it uses itself, and
	 * a child of make may have them ignored.  Fails for KILL and STOP. */
	static const uint64_t by_default[4];
	sigset_t none;
	int number;

	for (number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, by_default, NULL,
		    sizeof(uint64_t));
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || setpgid(0, 0) < 0)
		return -1;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -1;
	/* Had the parent died before prctl, no signal would ever come. */
	if (getppid() != parent)
		_exit(1);
	return 0;
}

/* First lift every descriptor above the table, so that none is overwritten
 * before it was used; then put each into its place. */
static int
child_set_fds(const struct spawn *what, int *report)
{
	int above = SPAWN_FIRST_FD + (int)what->fd_count;
	int lifted[SPAWN_FDS_MAX], null;
	size_t i;

	if ((*report = fcntl(*report, F_DUPFD_CLOEXEC, above)) < 0)
		return -1;
	for (i = 0; i < what->fd_count; i++) {
		lifted[i] = -1;
		if (what->fds[i] < 0)
			continue;
		lifted[i] = fcntl(what->fds[i], F_DUPFD_CLOEXEC, above);
		if (lifted[i] < 0)
			return -1;
	}
	if ((null = open("/dev/null", O_RDONLY)) < 0 ||
	    dup2(null, STDIN_FILENO) < 0)
		return -1;
	for (i = 0; i < what->fd_count; i++) {
		int fd = SPAWN_FIRST_FD + (int)i;

		close(fd);
		if (lifted[i] >= 0 && dup2(lifted[i], fd) < 0)
			return -1;
	}
	return close_range((unsigned)above, ~0u, CLOSE_RANGE_CLOEXEC);
}

static _Noreturn void
child_main(const struct spawn *what, pid_t parent, int report)
{
	int errnum;

	if (child_set_signals(parent) == 0 && child_set_fds(what, &report) == 0)
		execve(what->path, what->argv,
		    what->envp == NULL ? environ : what->envp);
	errnum = errno;
	if (write(report, &errnum, sizeof(errnum)) < 0)
		_exit(126);
	_exit(127);
}

/* The write end of the pipe closes with exec; an errno in it is a failure. */
static int
spawn_confirm(const struct spawn *what, pid_t pid, int report)
{
	int errnum = 0;
	ssize_t n;

	do
		n = read(report, &errnum, sizeof(errnum));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return KV_OK;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (n == (ssize_t)sizeof(errnum))
		errno = errnum;
	return err_system("exec", what->path);
}

int
spawn_process(const struct spawn *what, pid_t *out)
{
	pid_t parent = getpid(), pid;
	int report[2], rc;

	if (what->fd_count > SPAWN_FDS_MAX)
		return KV_EINVAL;
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_system("pipe2", what->path);
	if ((pid = fork()) == 0)
		child_main(what, parent, report[1]);
	close(report[1]);
	if (pid < 0)
		rc = err_system("fork", what->path);
	else if ((rc = spawn_confirm(what, pid, report[0])) == KV_OK)
		*out = pid;
	close(report[0]);
	return rc;
}
