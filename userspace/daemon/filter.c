// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: which system calls a worker makes: those of libevent, threads, memory, time and
 * sockets. It opens no file but those of routes with a root, starts no process, and reaches nothing
 * but TCP and UDP. Cost: calls without conditions on their arguments are answered from a bitmap by
 * the kernel (Linux 5.11), before that by a binary search; those of the data path have none.
 */
#include "daemon/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/jail.h"

/* Whatever the arguments. */
static const int allowed[] = {
	/* the data path */
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(read), SCMP_SYS(recvfrom),
	SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(readv),
	SCMP_SYS(recvmsg), SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(connect),
	SCMP_SYS(shutdown), SCMP_SYS(epoll_ctl), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(splice), SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(futex),
	/* readiness and timers */
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(pipe2), SCMP_SYS(fcntl), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(restart_syscall),
	/* memory and threads */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity), SCMP_SYS(getcpu),
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(sysinfo),
	SCMP_SYS(uname), SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* of descriptors that are open */
	SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(dup3), /* the access log is opened again */
};

/* With these arguments only: (argument & mask) == value. clone3 passes them in memory, where
 * a filter cannot look: it is answered with "no such call", and libc takes clone. */
#define INT 0xffffffffULL /* the kernel looks at 32 bits only; the others may hold anything */
static const struct rule {
	int call;
	unsigned arg;
	uint64_t mask, value;
} conditional[] = {
	{SCMP_SYS(socket), 0, INT, AF_INET},
	{SCMP_SYS(socket), 0, INT, AF_INET6},
	{SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	{SCMP_SYS(prctl), 0, INT, PR_SET_NAME},
	{SCMP_SYS(prlimit64), 2, UINT64_MAX, 0}, /* reading a limit */
	{SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH},
};

/* Tried by libraries, which manage without. */
static const struct refusal {
	int call, errnum;
} refused[] = {
	{SCMP_SYS(clone3), ENOSYS},     {SCMP_SYS(open), EPERM}, /* CPUs, overcommit, time zone */
	{SCMP_SYS(openat), EPERM},      {SCMP_SYS(access), EPERM}, {SCMP_SYS(readlink), EPERM},
	{SCMP_SYS(statx), ENOSYS},      {SCMP_SYS(ioctl), ENOTTY}, /* is stdout a terminal? */
	{SCMP_SYS(membarrier), ENOSYS},
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* A name that this architecture lacks is left out by libseccomp: it says -EDOM. */
static int known(int rc)
{
	return rc == -EDOM ? 0 : rc;
}

static int rule_add(scmp_filter_ctx ctx, const struct rule *r)
{
	const struct scmp_arg_cmp compare = {
		.arg = r->arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = r->mask, .datum_b = r->value};

	return known(seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, r->call, 1, &compare));
}

/* open and openat, without O_CREAT and O_TRUNC. */
static int reading_add(scmp_filter_ctx ctx)
{
	const uint64_t bits = O_ACCMODE | O_CREAT | O_TRUNC;
	const struct rule open = {SCMP_SYS(open), 1, bits, O_RDONLY},
			  openat = {SCMP_SYS(openat), 2, bits, O_RDONLY};
	int rc = rule_add(ctx, &open);

	return rc ? rc : rule_add(ctx, &openat);
}

static int rules_add(scmp_filter_ctx ctx, bool reads)
{
	/* abort() tells the process itself, and nobody else. */
	const struct rule own_signals = {SCMP_SYS(tgkill), 0, INT, (uint64_t)getpid()};
	int rc = rule_add(ctx, &own_signals);

	for (size_t i = 0; rc == 0 && i < COUNT(allowed); i++)
		rc = known(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0));
	for (size_t i = 0; rc == 0 && i < COUNT(conditional); i++)
		rc = rule_add(ctx, &conditional[i]);
	if (rc == 0 && reads)
		rc = reading_add(ctx);
	for (size_t i = 0; rc == 0 && i < COUNT(refused); i++)
		if (!reads ||
		    (refused[i].call != SCMP_SYS(open) && refused[i].call != SCMP_SYS(openat)))
			rc = known(seccomp_rule_add(ctx, SCMP_ACT_ERRNO((__u16)refused[i].errnum),
						    refused[i].call, 0));
	return rc;
}

/* For whoever changes the worker: which call was it? Async-signal-safe but for the name,
 * which libseccomp allocates; the process ends anyway. */
static void name_and_end(int sig, siginfo_t *info, void *context)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, info->si_syscall);
	char line[96];
	int len = snprintf(line, sizeof(line), "sluiced: error: the worker tried %s (%d)\n",
			   name ? name : "a system call", info->si_syscall);

	(void)context;
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		len = 0;
	signal(sig, SIG_DFL);
	_exit(128 + sig);
}

/* Files below a directory. What is in the structure that openat2 points to no filter can see;
 * Landlock holds it to the directories. */
static int roots_add(scmp_filter_ctx ctx, const struct jail *j)
{
	int rc = 0;

	if (j->n_roots)
		rc = known(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sendfile), 0));
	if (j->n_roots)
		rc = rc ? rc : known(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(pread64), 0));
	for (size_t i = 0; rc == 0 && i < j->n_roots; i++)
		rc = rule_add(ctx,
			      &(struct rule){SCMP_SYS(openat2), 0, INT, (uint64_t)j->roots[i]});
	return rc;
}

int filter_load(bool trap, const struct jail *j, struct err *e)
{
	const struct sigaction action = {.sa_sigaction = name_and_end, .sa_flags = SA_SIGINFO};
	scmp_filter_ctx ctx = seccomp_init(trap ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
	const struct rule files = {SCMP_SYS(socket), 0, INT, AF_UNIX};
	int rc;

	if (!ctx)
		return err_set(e, ENOMEM, "cannot make the system call filter");
	if (trap)
		sigaction(SIGSYS, &action, NULL);
	/* The filter is no reason for the kernel to slow the process down by its own means
	 * against speculation: nothing runs here that somebody else wrote. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	rc = rules_add(ctx, j->reads);
	if (rc == 0 && j->unix_sockets)
		rc = rule_add(ctx, &files);
	rc = rc ? rc : roots_add(ctx, j);
	rc = rc ? rc : seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc)
		return err_set(e, -rc,
			       "cannot load the system call filter: %s; the kernel needs "
			       "CONFIG_SECCOMP_FILTER",
			       strerror(-rc));
	return 0;
}
