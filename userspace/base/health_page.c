// SPDX-License-Identifier: BSD-2-Clause
#include "base/health_page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC     "slHealt1"
#define MODE      0644 /* what it says is no secret */
#define READ_MOST 1000 /* tries to read a record between two writings */

static size_t records_at(uint32_t slots)
{
	return (sizeof(struct health_head) + slots + 63) & ~(size_t)63;
}

static size_t page_bytes(uint32_t slots)
{
	return records_at(slots) + (size_t)slots * sizeof(struct health_record);
}

static void page_lay(struct health_page *p, void *at, uint32_t slots)
{
	p->head = at;
	p->out = (_Atomic uint8_t *)((char *)at + sizeof(struct health_head));
	p->records = (struct health_record *)((char *)at + records_at(slots));
	p->bytes = page_bytes(slots);
}

/* ---- writing -------------------------------------------------------------------------- */

static void path_of(char path[512], const char *dir, const char *suffix)
{
	snprintf(path, 512, "%s/%s%s", dir, HEALTH_PAGE_FILE, suffix);
}

static int file_make(const char *dir, struct err *e)
{
	char path[512];
	int fd;

	if (!dir)
		fd = memfd_create("sluice-health", MFD_CLOEXEC);
	else if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return err_set(e, errno, "cannot make %s: %s", dir, strerror(errno));
	else {
		path_of(path, dir, ".new");
		unlink(path); /* of a daemon that was killed right then */
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
	}
	return fd >= 0 ? fd
		       : err_set(e, errno, "cannot make the file of backends' states in %s: %s",
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

int health_page_make(struct health_page *p, const char *dir, uint32_t slots, struct err *e)
{
	size_t bytes = page_bytes(slots);
	int fd = file_make(dir, e), rc = 0;
	void *at = MAP_FAILED;

	*p = (struct health_page){.fd = -1};
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
		return err_set(e, -rc, "cannot hold the states of backends: %s", strerror(-rc));
	}
	madvise(at, bytes, MADV_DONTFORK);
	page_lay(p, at, slots);
	p->head->record_bytes = sizeof(struct health_record);
	p->head->slots = slots;
	memcpy(p->head->magic, MAGIC, sizeof(p->head->magic));
	return 0;
}

int health_page_publish(struct health_page *p, const char *dir, struct err *e)
{
	char new[512], path[512];

	(void)p;
	if (!dir)
		return 0;
	path_of(new, dir, ".new");
	path_of(path, dir, "");
	if (rename(new, path) == 0)
		return 0;
	return err_set(e, errno, "cannot rename %s to %s: %s", new, path, strerror(errno));
}

void health_record_begin(struct health_record *r)
{
	atomic_fetch_add_explicit(&r->sequence, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

void health_record_end(struct health_record *r)
{
	atomic_fetch_add_explicit(&r->sequence, 1, memory_order_release);
}

/* ---- reading -------------------------------------------------------------------------- */

int health_page_map(struct health_page *p, int fd)
{
	const struct health_head *head;
	struct stat st;
	void *at;

	*p = (struct health_page){.fd = -1};
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(*head) || st.st_size > (off_t)page_bytes(HEALTH_PAGE_SLOTS))
		return -EINVAL;
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	head = at;
	if (memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0 ||
	    head->record_bytes != sizeof(struct health_record) || head->slots > HEALTH_PAGE_SLOTS ||
	    page_bytes(head->slots) != (size_t)st.st_size) {
		munmap(at, (size_t)st.st_size);
		return -EINVAL;
	}
	page_lay(p, at, head->slots);
	return 0;
}

int health_page_open(struct health_page *p, const char *dir, struct err *e)
{
	char path[512];
	int fd, rc;

	*p = (struct health_page){.fd = -1};
	path_of(path, dir, "");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, errno, "cannot read %s: %s", path, strerror(errno));
	rc = health_page_map(p, fd);
	close(fd);
	if (rc == 0)
		return 0;
	return err_set(e, -rc, "%s: %s", path,
		       rc == -EINVAL ? "not the states of backends as this version writes them"
				     : strerror(-rc));
}

void health_page_close(struct health_page *p)
{
	if (p->head)
		munmap(p->head, p->bytes);
	if (p->fd > 0)
		close(p->fd);
	*p = (struct health_page){.fd = -1};
}

void health_record_read(const struct health_record *from, struct health_record *to)
{
	uint32_t before, after;
	unsigned tries = 0;

	do {
		before = atomic_load_explicit(&from->sequence, memory_order_acquire);
		memcpy((char *)to + sizeof(to->sequence),
		       (const char *)from + sizeof(from->sequence),
		       sizeof(*to) - sizeof(to->sequence));
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&from->sequence, memory_order_relaxed);
	} while ((before != after || before & 1) && ++tries < READ_MOST);
	to->pool[sizeof(to->pool) - 1] = to->backend[sizeof(to->backend) - 1] = '\0';
	to->address[sizeof(to->address) - 1] = to->type[sizeof(to->type) - 1] = '\0';
	to->error[sizeof(to->error) - 1] = '\0';
}
