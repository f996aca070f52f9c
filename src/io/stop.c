/* SPDX-License-Identifier: ISC */
/* Signals that end a sleep. */

#include "io/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/err.h"

#define STOP_REPEAT_US 20000

/* What a signal handler can reach is global. */
static volatile sig_atomic_t stop_woken;
static volatile sig_atomic_t stop_signalled;
static int stop_fd = -1;
static bool stop_told;

static void
stop_repeat(suseconds_t us)
{
	struct itimerval timer = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void
stop_handler(int number)
{
	if (number == SIGTERM || number == SIGINT)
		stop_signalled = 1;
	stop_woken = 1;
	if (number != SIGALRM)
		stop_repeat(STOP_REPEAT_US);
}

int
stop_arm(int control_fd)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGIO, SIGALRM };
	struct sigaction action = { .sa_handler = stop_handler };
	size_t i;
	int flags;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], &action, NULL) < 0)
			return err_system("sigaction", "stop");
	stop_fd = control_fd;
	flags = fcntl(control_fd, F_GETFL);
	if (flags < 0 || fcntl(control_fd, F_SETOWN, getpid()) < 0 ||
	    fcntl(control_fd, F_SETFL, flags | O_ASYNC) < 0)
		return err_system("fcntl", "control socket");
	stop_woken = 1; /* something may have come before */
	return KV_OK;
}

static void
stop_read(void)
{
	char message[65536];
	ssize_t n;

	while ((n = recv(stop_fd, message, sizeof(message), MSG_DONTWAIT)) > 0)
		if (n >= 4 && memcmp(message, "stop", 4) == 0)
			stop_told = true;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		stop_told = true; /* nobody is left to tell us */
}

bool
stop_asked(void)
{
	if (stop_woken) {
		stop_woken = 0;
		stop_repeat(0);
		stop_read();
	}
	return stop_told || stop_signalled;
}
