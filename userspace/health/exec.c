// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: a check that is a program. It runs with the checker's account, in a process group of
 * its own, which is killed when the program has ended or its time is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "health/check.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define ENVIRONMENT 6
#define VARIABLE    96

/* ---- its end --------------------------------------------------------------------------- */

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct check *c = arg;
	char why[EXPECT_WHY];
	siginfo_t info = {0};

	(void)what;
	if (waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT) != 0) {
		check_end(c, false, "it cannot be waited for");
		return;
	}
	if (info.si_code == CLD_EXITED)
		snprintf(why, sizeof(why), "status %d", info.si_status);
	else
		snprintf(why, sizeof(why), "ended by signal %d", info.si_status);
	check_end(c, info.si_code == CLD_EXITED && info.si_status == 0, why);
}

/* Whatever it has left behind goes, too; while it is not reaped, the group's number is its own. */
void exec_stop(struct check *c)
{
	siginfo_t info;

	if (c->pid <= 0)
		return;
	kill(-c->pid, SIGKILL);
	waitid(P_PID, (id_t)c->pid, &info, WEXITED);
	c->pid = 0;
}

/* ---- its beginning --------------------------------------------------------------------- */

static void environment_make(const struct check_target *t, char text[ENVIRONMENT][VARIABLE],
			     char *env[ENVIRONMENT + 1])
{
	char addr[ADDR_TEXT];

	snprintf(text[0], VARIABLE, "PATH=/usr/local/bin:/usr/bin:/bin");
	snprintf(text[1], VARIABLE, "SLUICE_SERVICE=%s", t->pool);
	snprintf(text[2], VARIABLE, "SLUICE_BACKEND=%s", t->backend);
	snprintf(text[3], VARIABLE, "SLUICE_ADDRESS=%s", addr_format(&t->to.addr, addr));
	snprintf(text[4], VARIABLE, "SLUICE_PORT=%u", t->to.port);
	snprintf(text[5], VARIABLE, "LC_ALL=C");
	for (int i = 0; i < ENVIRONMENT; i++)
		env[i] = text[i];
	env[ENVIRONMENT] = NULL;
}

static int spawn(struct check *c, char *const env[])
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	/* Its words are not for the log: whoever checks could fill it. */
	rc = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (rc == 0)
		rc = posix_spawn(&c->pid, c->target->health->command[0], &files, &attr,
				 (char *const *)c->target->health->command, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -rc;
}

int exec_start(struct check *c)
{
	char text[ENVIRONMENT][VARIABLE], *env[ENVIRONMENT + 1];
	int rc;

	environment_make(c->target, text, env);
	rc = spawn(c, env);
	if (rc) {
		c->pid = 0;
		return rc;
	}
	c->fd = (int)syscall(SYS_pidfd_open, c->pid, 0); /* close-on-exec by itself */
	if (c->fd < 0)
		return -errno;
	event_assign(&c->io, event_get_base(&c->deadline), c->fd, EV_READ, on_end, c);
	return event_add(&c->io, NULL) == 0 ? 0 : -ENOMEM;
}
