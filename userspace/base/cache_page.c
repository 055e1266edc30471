// SPDX-License-Identifier: BSD-2-Clause
#include "base/cache_page.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MAGIC "slCache1"

static size_t page_bytes(uint32_t caches)
{
	return sizeof(struct cache_head) + (size_t)caches * sizeof(struct cache_record);
}

static void page_lay(struct cache_page *p, const struct page *page)
{
	*p = (struct cache_page){
		.head = page->at,
		.records = (struct cache_record *)((struct cache_head *)page->at + 1),
		.bytes = page->bytes,
		.fd = page->fd,
	};
}

int cache_page_make(struct cache_page *p, const char *dir, uint32_t caches, struct err *e)
{
	struct page page;
	int rc = page_make(&page, dir, CACHE_PAGE_FILE, page_bytes(caches), e);

	*p = (struct cache_page){.fd = -1};
	if (rc)
		return rc;
	madvise(page.at, page.bytes, MADV_DOFORK);
	page_lay(p, &page);
	p->head->record_bytes = sizeof(struct cache_record);
	p->head->caches = caches;
	memcpy(p->head->magic, MAGIC, sizeof(p->head->magic));
	return 0;
}

int cache_page_open(struct cache_page *p, const char *dir, struct err *e)
{
	struct page page;
	int rc = page_open(&page, dir, CACHE_PAGE_FILE, sizeof(*p->head),
			   page_bytes(CACHE_PAGE_MOST), e);
	const struct cache_head *head = page.at;

	*p = (struct cache_page){.fd = -1};
	if (rc)
		return rc;
	if (memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0 ||
	    head->record_bytes != sizeof(struct cache_record) || head->caches > CACHE_PAGE_MOST ||
	    page_bytes(head->caches) != page.bytes) {
		page_close(&page);
		return err_set(e, EINVAL, "%s/%s: not what this version writes there", dir,
			       CACHE_PAGE_FILE);
	}
	page_lay(p, &page);
	return 0;
}

void cache_page_close(struct cache_page *p)
{
	struct page page = {p->head, p->bytes, p->fd};

	page_close(&page);
	*p = (struct cache_page){.fd = -1};
}

void cache_page_record(const struct cache_page *p, uint32_t cache, struct cache_record *to)
{
	const struct cache_record *from = &p->records[cache];

	page_read(&from->sequence, (char *)to + sizeof(to->sequence),
		  (const char *)from + sizeof(from->sequence), sizeof(*to) - sizeof(to->sequence));
	to->name[sizeof(to->name) - 1] = '\0';
	if (to->n_refused > CACHE_PAGE_REASONS)
		to->n_refused = CACHE_PAGE_REASONS;
	for (uint32_t i = 0; i < to->n_refused; i++)
		to->refused[i].name[sizeof(to->refused[i].name) - 1] = '\0';
}
