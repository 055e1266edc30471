// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the order in which privilege is given away. Promises: a step that fails stops the
 * worker before it has seen a byte from the network.
 *
 * Descriptors go first, then the account (which needs the capabilities), then the
 * capabilities, then all files but those of routes (Landlock), then the filter of system calls,
 * which would forbid all the others.
 */
#include "daemon/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/filter.h"
#include "daemon/landlock.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Linux 5.8, but not in every libc's headers. */
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

/* ---- limits --------------------------------------------------------------------------- */

/* A worker inherits the keeper's limit and lowers it to its own. */
static void limits_raise(rlim_t files)
{
	struct rlimit now, want = {.rlim_cur = files, .rlim_max = files};

	if (getrlimit(RLIMIT_NOFILE, &now) != 0)
		return;
	if (now.rlim_max >= files)
		want.rlim_max = now.rlim_max;
	if (now.rlim_cur >= files || setrlimit(RLIMIT_NOFILE, &want) == 0)
		return;
	log_info("max_connections asks for %lu descriptors and the limit is %lu; past that, "
		 "connections wait (ulimit -n, LimitNOFILE=)",
		 (unsigned long)files, (unsigned long)now.rlim_max);
	now.rlim_cur = now.rlim_max;
	setrlimit(RLIMIT_NOFILE, &now);
}

static void limits_lower(rlim_t files)
{
	const struct rlimit none = {0};
	struct rlimit now;

	setrlimit(RLIMIT_CORE, &none); /* a core would hold what clients sent */
	if (getrlimit(RLIMIT_NOFILE, &now) != 0)
		return;
	if (now.rlim_cur > files)
		now.rlim_cur = files;
	now.rlim_max = now.rlim_cur;
	setrlimit(RLIMIT_NOFILE, &now);
}

/* ---- the account ---------------------------------------------------------------------- */

int jail_prepare(struct jail *j, const char *user, rlim_t files, struct err *e)
{
	struct passwd *pw;

	*j = (struct jail){.user = user, .change = geteuid() == 0, .files = files};
	pw = getpwnam(user);
	if (!pw)
		return err_set(
			e, ENOENT,
			"no account \"%s\" for the worker on this host; daemon { user = ... } "
			"names one, `useradd --system %s` adds it",
			user, user);
	j->uid = pw->pw_uid;
	j->gid = pw->pw_gid;
	if (j->change && j->uid == 0)
		log_warn("the worker runs as root: daemon { user = \"%s\" }", user);
	if (files)
		limits_raise(files);
	return 0;
}

static int account_change(const struct jail *j, struct err *e)
{
	if (!j->change)
		return 0;
	if (setgroups(1, &j->gid) == 0 && setresgid(j->gid, j->gid, j->gid) == 0 &&
	    setresuid(j->uid, j->uid, j->uid) == 0)
		return 0;
	return err_set(e, errno,
		       "cannot become \"%s\" (uid %u, gid %u): %s; the daemon needs CAP_SETUID and "
		       "CAP_SETGID, or must be started as that account",
		       j->user, j->uid, j->gid, strerror(errno));
}

/* ---- capabilities --------------------------------------------------------------------- */

static int caps_limit(__u64 keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) != 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		data[i].effective &= (__u32)(keep >> (32 * i));
		data[i].permitted &= (__u32)(keep >> (32 * i));
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) == 0 ? 0 : -errno;
}

/* What exec could give back; needs CAP_SETPCAP, and no_new_privs stands before it anyway. */
static void caps_bound(__u64 keep)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep & 1ULL << cap))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static int caps_drop(struct err *e)
{
	int rc;

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	rc = caps_limit(0);
	return rc ? err_set(e, -rc, "cannot give up capabilities: %s", strerror(-rc)) : 0;
}

/* ---- descriptors ---------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Linux 5.9; by number, since Debian 11's libc does not know it. */
static int close_from_to(unsigned from, unsigned to)
{
	return from > to || syscall(SYS_close_range, from, to, 0) == 0 ? 0 : -errno;
}

static int files_close(int *keep, size_t n, struct err *e)
{
	unsigned from = STDERR_FILENO + 1;
	int null, rc = 0;

	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (keep[i] < (int)from)
			continue; /* none (-1), or named twice */
		rc = close_from_to(from, (unsigned)keep[i] - 1);
		from = (unsigned)keep[i] + 1;
	}
	rc = rc ? rc : close_from_to(from, ~0U);
	if (rc)
		return err_set(e, -rc, "cannot close descriptors: %s", strerror(-rc));
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return err_set(e, errno, "cannot open /dev/null: %s", strerror(errno));
	close(null);
	return 0;
}

/* ---- all ------------------------------------------------------------------------------ */

/* The keeper alone tells a worker to stop: what a terminal or a group sends is not for it. */
static void signals_reset(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE};
	sigset_t none;

	signal(SIGCHLD, SIG_DFL);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int jail_enter(const struct jail *j, int *keep, size_t n, bool trap, struct err *e)
{
	int rc;

	tzset(); /* reads a file, which will not be possible any more */
	signals_reset();
	limits_lower(j->files);
	caps_bound(0);
	rc = files_close(keep, n, e);
	rc = rc ? rc : account_change(j, e);
	rc = rc ? rc : caps_drop(e);
	if (rc)
		return rc;
	/* No PR_SET_PDEATHSIG: that the keeper is gone is heard from the control socket, and what
	 * runs may then be finished.
	 * No core, no debugger of the same account. The leak checker is such a debugger. */
	prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_set(e, errno, "cannot set no_new_privs: %s", strerror(errno));
	if (SANITIZED) {
		log_info("built with sanitizers: the worker's system calls are not filtered");
		return 0;
	}
	if (j->any_call)
		return 0;
	rc = landlock_enter(j->roots, j->n_roots, e);
	return rc ? rc : filter_load(trap, j, e);
}

pid_t jail_fork(void)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

void jail_keeper(bool gate)
{
	/* Maps and the network; ports below 1024 and keys of other accounts on reload; and for the
	 * worker: another account, its bounding set, its limits, its end. */
	static const int needed[] = {CAP_BPF,          CAP_NET_ADMIN, CAP_NET_BIND_SERVICE,
				     CAP_SETUID,       CAP_SETGID,    CAP_SETPCAP,
				     CAP_SYS_RESOURCE, CAP_KILL,      CAP_DAC_READ_SEARCH};
	__u64 keep = gate ? 1ULL << CAP_SYS_ADMIN : 0;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		keep |= 1ULL << needed[i];
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	caps_bound(keep);
	if (caps_limit(keep) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		log_warn("the keeper cannot give up privileges: %s", strerror(errno));
}
