// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the worker will do with it. */
static int try_beneath(int fd)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	long file = syscall(SYS_openat2, fd, ".", &how, sizeof(how));

	if (file < 0)
		return -errno;
	close((int)file);
	return 0;
}

static int root_open(struct roots *r, const struct conf *c, const struct conf_file *root,
		     struct err *e)
{
	int fd = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC), rc = fd < 0 ? -errno : 0;

	if (rc == -ENOENT || rc == -ENOTDIR)
		return err_set(e, -rc,
			       "%s:%u: root: \"%s\" is not a directory (%s); write the path of one",
			       c->path, root->line, root->path, strerror(-rc));
	rc = rc ? rc : try_beneath(fd);
	if (rc == 0) {
		r->fds[r->n++] = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return err_set(e, -rc, "%s:%u: root: \"%s\" cannot be opened: %s%s", c->path, root->line,
		       root->path, strerror(-rc), rc == -ENOSYS ? "; files need Linux 5.6" : "");
}

int roots_open(struct roots *r, const struct conf *c, struct err *e)
{
	int rc = 0;

	*r = (struct roots){.fds = calloc(c->n_roots + 1, sizeof(*r->fds))};
	if (!r->fds)
		return err_set(e, ENOMEM, "out of memory");
	for (unsigned i = 0; rc == 0 && i < c->n_roots; i++)
		rc = root_open(r, c, &c->roots[i], e);
	if (rc)
		roots_close(r);
	return rc;
}

void roots_close(struct roots *r)
{
	for (unsigned i = 0; i < r->n; i++)
		close(r->fds[i]);
	free(r->fds);
	*r = (struct roots){0};
}
