// SPDX-License-Identifier: BSD-2-Clause
#include "l7/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define READ_MOST 1000 /* tries to read between two writings */

static int map(struct tickets *t, int fd, int protection)
{
	void *at = mmap(NULL, sizeof(*t->page), protection, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	madvise(at, sizeof(*t->page), MADV_DONTDUMP);
	madvise(at, sizeof(*t->page), MADV_DONTFORK);
	t->page = at;
	return 0;
}

/* The mapping that is there may write, no later one: workers get a view. */
int tickets_make(struct tickets *t, struct err *e)
{
	int rc = 0;

	*t = (struct tickets){
		.fd = memfd_create("sluice-tickets", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
	if (t->fd < 0 || ftruncate(t->fd, sizeof(*t->page)) != 0)
		rc = -errno;
	rc = rc ? rc : map(t, t->fd, PROT_READ | PROT_WRITE);
	if (rc == 0 && fcntl(t->fd, F_ADD_SEALS,
			     F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) != 0)
		rc = -errno;
	rc = rc ? rc : tickets_rotate(t);
	if (rc == 0)
		return 0;
	tickets_fini(t);
	return err_set(e, -rc, "cannot hold keys of session tickets: %s", strerror(-rc));
}

int tickets_rotate(struct tickets *t)
{
	unsigned char fresh[KEYRING_TICKET_KEY];
	struct tickets_page *p = t->page;

	if (getrandom(fresh, sizeof(fresh), 0) != sizeof(fresh))
		return -EIO;
	atomic_fetch_add_explicit(&p->sequence, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memmove(p->keys[1], p->keys[0], sizeof(p->keys) - sizeof(p->keys[0]));
	memcpy(p->keys[0], fresh, sizeof(fresh));
	p->n += p->n < TICKETS_KEYS;
	atomic_fetch_add_explicit(&p->sequence, 1, memory_order_release);
	explicit_bzero(fresh, sizeof(fresh));
	return 0;
}

int tickets_map(struct tickets *t, int fd)
{
	*t = (struct tickets){.fd = -1};
	return map(t, fd, PROT_READ);
}

unsigned tickets_read(const struct tickets *t, unsigned char keys[TICKETS_KEYS][KEYRING_TICKET_KEY])
{
	const struct tickets_page *p = t->page;

	for (unsigned i = 0; p && i < READ_MOST; i++) {
		uint32_t before = atomic_load_explicit(&p->sequence, memory_order_acquire),
			 n = p->n;

		memcpy(keys, p->keys, sizeof(p->keys));
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1) &&
		    before == atomic_load_explicit(&p->sequence, memory_order_relaxed))
			return n;
	}
	return 0;
}

void tickets_fini(struct tickets *t)
{
	if (t->page)
		munmap(t->page, sizeof(*t->page));
	if (t->fd >= 0)
		close(t->fd);
	*t = (struct tickets){.fd = -1};
}
