// SPDX-License-Identifier: BSD-2-Clause
#include "base/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE      0644 /* what pages say is no secret */
#define READ_MOST 1000 /* tries to read between two writings */

/* ---- writing -------------------------------------------------------------------------- */

static void path_of(char path[512], const char *dir, const char *file, const char *suffix)
{
	snprintf(path, 512, "%s/%s%s", dir, file, suffix);
}

static int file_make(const char *dir, const char *file, struct err *e)
{
	char path[512];
	int fd;

	if (!dir)
		fd = memfd_create(file, MFD_CLOEXEC);
	else if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return err_set(e, errno, "cannot make %s: %s", dir, strerror(errno));
	else {
		path_of(path, dir, file, ".new");
		unlink(path); /* of a daemon that was killed right then */
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
	}
	return fd >= 0 ? fd
		       : err_set(e, errno, "cannot make the file \"%s\" in %s: %s", file,
				 dir ? dir : "memory", strerror(errno));
}

/* The same file, in a way that nobody can make writable again. */
static int reopen_read_only(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

int page_make(struct page *p, const char *dir, const char *file, size_t bytes, struct err *e)
{
	int fd = file_make(dir, file, e), rc;
	void *at = MAP_FAILED;

	*p = (struct page){.fd = -1};
	if (fd < 0)
		return fd;
	/* Its blocks are taken now: a full disk is an error here, and no SIGBUS later. */
	rc = -posix_fallocate(fd, 0, (off_t)bytes);
	if (rc == 0)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (rc == 0 && at == MAP_FAILED)
		rc = -errno;
	if (rc == 0) {
		p->fd = reopen_read_only(fd);
		rc = p->fd < 0 ? p->fd : 0;
	}
	close(fd);
	if (rc) {
		if (at != MAP_FAILED)
			munmap(at, bytes);
		p->fd = -1;
		return err_set(e, -rc, "cannot hold the file \"%s\": %s", file, strerror(-rc));
	}
	madvise(at, bytes, MADV_DONTFORK);
	p->at = at;
	p->bytes = bytes;
	return 0;
}

int page_publish(const char *dir, const char *file, struct err *e)
{
	char new[512], path[512];

	if (!dir)
		return 0;
	path_of(new, dir, file, ".new");
	path_of(path, dir, file, "");
	if (rename(new, path) == 0)
		return 0;
	return err_set(e, errno, "cannot rename %s to %s: %s", new, path, strerror(errno));
}

void page_write_begin(_Atomic uint32_t *sequence)
{
	atomic_fetch_add_explicit(sequence, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

void page_write_end(_Atomic uint32_t *sequence)
{
	atomic_fetch_add_explicit(sequence, 1, memory_order_release);
}

/* ---- reading -------------------------------------------------------------------------- */

int page_map(struct page *p, int fd, size_t least, size_t most)
{
	struct stat st;
	void *at;

	*p = (struct page){.fd = -1};
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size < (off_t)least || st.st_size > (off_t)most)
		return -EINVAL;
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	p->at = at;
	p->bytes = (size_t)st.st_size;
	return 0;
}

int page_open(struct page *p, const char *dir, const char *file, size_t least, size_t most,
	      struct err *e)
{
	char path[512];
	int fd, rc;

	*p = (struct page){.fd = -1};
	path_of(path, dir, file, "");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, errno, "cannot read %s: %s", path, strerror(errno));
	rc = page_map(p, fd, least, most);
	close(fd);
	if (rc == 0)
		return 0;
	return err_set(e, -rc, "%s: %s", path,
		       rc == -EINVAL ? "not what this version writes there" : strerror(-rc));
}

void page_close(struct page *p)
{
	if (p->at)
		munmap(p->at, p->bytes);
	if (p->fd > 0)
		close(p->fd);
	*p = (struct page){.fd = -1};
}

void page_read(const _Atomic uint32_t *sequence, void *to, const void *from, size_t n)
{
	uint32_t before, after;
	unsigned tries = 0;

	do {
		before = atomic_load_explicit(sequence, memory_order_acquire);
		memcpy(to, from, n);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(sequence, memory_order_relaxed);
	} while ((before != after || before & 1) && ++tries < READ_MOST);
}
