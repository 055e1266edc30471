// SPDX-License-Identifier: BSD-2-Clause
/*
 * Folders are watched, not files: editors and downloads put a new file in the old one's place.
 * A file that is a symbolic link is watched where it is and where it leads.
 */
#include "ctl/watch.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl.h"

/* A new link is there at once; a new file has yet to be written. */
#define CHANGES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)
#define GONE    (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)

struct place {
	int folder; /* watch descriptor */
	char name[NAME_MAX + 1];
	char path[PATH_MAX]; /* of the folder */
};

struct watch {
	int fd;
	struct place *places; /* two for each path */
	unsigned n;
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

/* ---- what is watched ------------------------------------------------------------------ */

static int add_place(struct watch *w, const char *path, struct err *e)
{
	struct place *p = &w->places[w->n];
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy))
		return err_set(e, ENAMETOOLONG, "%.40s...: the path is too long", path);
	strcpy(copy, path);
	snprintf(p->name, sizeof(p->name), "%s", basename(copy));
	strcpy(copy, path);
	snprintf(p->path, sizeof(p->path), "%s", dirname(copy));
	p->folder = inotify_add_watch(w->fd, p->path, CHANGES | IN_DELETE_SELF | IN_MOVE_SELF);
	if (p->folder < 0)
		return err_set(e, errno, "cannot watch %s: %s", p->path, strerror(errno));
	w->n++;
	return 0;
}

/* Also after each change: a link may lead elsewhere now. */
static int add_places(struct watch *w, char **paths, int n, struct err *e)
{
	char real[PATH_MAX];
	int rc = 0;

	w->n = 0;
	for (int i = 0; rc == 0 && i < n; i++) {
		rc = add_place(w, paths[i], e);
		if (rc == 0 && realpath(paths[i], real))
			rc = add_place(w, real, e);
	}
	return rc;
}

static bool is_link(const struct place *p)
{
	char path[PATH_MAX + NAME_MAX + 2];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", p->path, p->name);
	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* Is it about one of the files? */
static bool is_change(const struct watch *w, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (unsigned i = 0; i < w->n; i++) {
		const struct place *p = &w->places[i];

		if (p->folder == event->wd && event->len && strcmp(p->name, event->name) == 0 &&
		    (event->mask & ~(uint32_t)IN_CREATE || is_link(p)))
			return true;
	}
	return false;
}

static const char *gone_folder(const struct watch *w, const struct inotify_event *event)
{
	for (unsigned i = 0; event->mask & GONE && i < w->n; i++)
		if (w->places[i].folder == event->wd)
			return w->places[i].path;
	return NULL;
}

/* ---- waiting -------------------------------------------------------------------------- */

/* Everything that has happened. 1: a file has changed; 0: nothing that matters. */
static int read_events(const struct watch *w, struct err *e)
{
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	int changed = 0;
	ssize_t len;

	while ((len = read(w->fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + len;) {
			const struct inotify_event *event = (const struct inotify_event *)at;
			const char *gone = gone_folder(w, event);

			if (gone)
				return err_set(e, ENOENT, "%s is gone, so watching ends", gone);
			changed |= is_change(w, event);
			at += sizeof(*event) + event->len;
		}
	}
	return changed;
}

/* 1: a file has changed; 0: stopped. awake: the signals that are let in while it waits. */
static int await_change(const struct watch *w, const sigset_t *awake, struct err *e)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};
	int rc = 0;

	while (rc == 0 && !stop) {
		if (ppoll(&p, 1, NULL, awake) > 0)
			rc = read_events(w, e);
		else if (errno != EINTR)
			rc = err_set(e, errno, "cannot wait for changes: %s", strerror(errno));
	}
	return rc;
}

static int run_apart(int (*once)(const void *arg), const void *arg, const sigset_t *awake)
{
	struct err e;
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0) {
		err_set(&e, errno, "cannot start a process: %s", strerror(errno));
		return ctl_fail(&e);
	}
	if (child == 0) {
		sigprocmask(SIG_SETMASK, awake, NULL);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		status = once(arg);
		fflush(stdout);
		_exit(status);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CTL_FAIL;
}

/* Signals stay out but for the wait, so that none comes unseen between it and the look at
 * `stop`. */
static void take_signals(sigset_t *awake)
{
	const struct sigaction action = {.sa_handler = on_signal};
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigprocmask(SIG_BLOCK, &ours, awake);
	sigdelset(awake, SIGINT);
	sigdelset(awake, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int watch(struct watch *w, char **paths, int n, int (*once)(const void *arg),
		 const void *arg)
{
	int rc, status;
	sigset_t awake;
	struct err e;

	take_signals(&awake);
	rc = add_places(w, paths, n, &e);
	status = rc ? CTL_OK : run_apart(once, arg, &awake);
	if (status != CTL_OK)
		return status;
	while (rc == 0 && (rc = await_change(w, &awake, &e)) > 0) {
		run_apart(once, arg, &awake); /* told; the next change may mend it */
		rc = add_places(w, paths, n, &e);
	}
	return rc < 0 ? ctl_fail(&e) : CTL_OK;
}

int watch_files(char **paths, int n, int (*once)(const void *arg), const void *arg)
{
	struct watch w = {
		.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
		.places = calloc((size_t)n * 2, sizeof(*w.places)),
	};
	struct err e;
	int status;

	if (w.fd < 0 || !w.places) {
		err_set(&e, errno, "cannot watch files: %s", strerror(errno));
		status = ctl_fail(&e);
	} else {
		status = watch(&w, paths, n, once, arg);
	}
	if (w.fd >= 0)
		close(w.fd);
	free(w.places);
	return status;
}
