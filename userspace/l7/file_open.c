// SPDX-License-Identifier: BSD-2-Clause
#include "l7/file_open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "l7/encode.h"

#define TRIES 8 /* against somebody who renames meanwhile */

/* Below root, and not by way of /proc. */
static int open_beneath(int root, const char *name, uint64_t flags)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd = -1;

	for (unsigned i = 0; i < TRIES; i++) {
		fd = syscall(SYS_openat2, root, name, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

static unsigned status_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
	case EINTR:
		return 503;
	case EIO:
		return 500;
	default: /* not there, outside, a socket, a loop, a name that is too long */
		return 404;
	}
}

/* 0, 301 for a directory, or the status. Pipes and devices are opened without waiting, seen for
 * what they are, and closed. */
static unsigned open_one(struct file_opened *f, int root, const char *name)
{
	struct stat st = {0};
	unsigned status;

	f->fd = open_beneath(root, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0)
		return status_of(errno);
	if (fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		f->facts = (struct file_facts){.modified = st.st_mtim.tv_sec,
					       .modified_ns = (uint32_t)st.st_mtim.tv_nsec,
					       .size = (uint64_t)st.st_size};
		return 0;
	}
	status = S_ISDIR(st.st_mode) ? 301 : 404;
	close(f->fd);
	f->fd = -1;
	return status;
}

/* There is a directory, but no index in it. */
static unsigned no_index(int root, const char *name)
{
	int fd = open_beneath(root, name[0] ? name : ".", O_PATH | O_DIRECTORY);

	if (fd < 0)
		return status_of(errno);
	close(fd);
	return 403;
}

static unsigned open_index(struct file_opened *f, int root, const struct conf_files *files,
			   char *buf, size_t len)
{
	for (unsigned i = 0; i < files->n_indexes; i++) {
		struct span index = files->indexes[i];
		unsigned status;

		memcpy(buf + len, index.p, index.len);
		buf[len + index.len] = '\0';
		f->name = (struct span){buf, len + index.len};
		status = open_one(f, root, buf);
		if (status != 404 && status != 301)
			return status;
	}
	buf[len] = '\0';
	return no_index(root, buf);
}

unsigned file_open(struct file_opened *f, int root, const struct conf_files *files, char *buf,
		   size_t len)
{
	buf[len] = '\0';
	f->name = (struct span){buf, len};
	if (len == 0 || buf[len - 1] == '/')
		return open_index(f, root, files, buf, len);
	return open_one(f, root, buf);
}

static bool replace(struct file_opened *f, int root, enum conf_encoding e, char *buf)
{
	struct span suffix = file_suffix(e);
	struct file_opened other = *f;

	memcpy(buf + f->name.len, suffix.p, suffix.len);
	buf[f->name.len + suffix.len] = '\0';
	if (open_one(&other, root, buf) != 0)
		return false;
	/* It is of an older one. Compressors that keep the time keep its seconds. */
	if (other.facts.modified < f->facts.modified) {
		close(other.fd);
		return false;
	}
	close(f->fd);
	f->fd = other.fd;
	f->facts = other.facts;
	f->facts.encoding = e;
	return true;
}

void file_precompressed(struct file_opened *f, int root, const struct http1_head *request,
			char *buf)
{
	struct conf_compress offer = {
		.order = {CONF_ENCODING_br, CONF_ENCODING_zstd, CONF_ENCODING_gzip}, .n_order = 3};
	enum conf_encoding e;

	while ((e = encode_wanted(request, &offer)) != CONF_ENCODING_identity &&
	       !replace(f, root, e, buf)) {
		unsigned n = 0;

		for (unsigned i = 0; i < offer.n_order; i++)
			if (offer.order[i] != e)
				offer.order[n++] = offer.order[i];
		offer.n_order = n;
	}
	buf[f->name.len] = '\0';
}
