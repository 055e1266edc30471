// SPDX-License-Identifier: BSD-2-Clause
#include "base/health_page.h"

#include <errno.h>
#include <string.h>

#define MAGIC "slHealt1"

static size_t records_at(uint32_t slots)
{
	return (sizeof(struct health_head) + slots + 63) & ~(size_t)63;
}

static size_t page_bytes(uint32_t slots)
{
	return records_at(slots) + (size_t)slots * sizeof(struct health_record);
}

static void page_lay(struct health_page *p, const struct page *page, uint32_t slots)
{
	*p = (struct health_page){
		.head = page->at,
		.out = (_Atomic uint8_t *)((char *)page->at + sizeof(struct health_head)),
		.records = (struct health_record *)((char *)page->at + records_at(slots)),
		.bytes = page->bytes,
		.fd = page->fd,
	};
}

/* ---- writing -------------------------------------------------------------------------- */

int health_page_make(struct health_page *p, const char *dir, uint32_t slots, struct err *e)
{
	struct page page;
	int rc = page_make(&page, dir, HEALTH_PAGE_FILE, page_bytes(slots), e);

	*p = (struct health_page){.fd = -1};
	if (rc)
		return rc;
	page_lay(p, &page, slots);
	p->head->record_bytes = sizeof(struct health_record);
	p->head->slots = slots;
	memcpy(p->head->magic, MAGIC, sizeof(p->head->magic));
	return 0;
}

int health_page_publish(struct health_page *p, const char *dir, struct err *e)
{
	(void)p;
	return page_publish(dir, HEALTH_PAGE_FILE, e);
}

void health_record_begin(struct health_record *r)
{
	page_write_begin(&r->sequence);
}

void health_record_end(struct health_record *r)
{
	page_write_end(&r->sequence);
}

/* ---- reading -------------------------------------------------------------------------- */

static int page_check(struct health_page *p, struct page *page)
{
	const struct health_head *head = page->at;

	if (memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0 ||
	    head->record_bytes != sizeof(struct health_record) || head->slots > HEALTH_PAGE_SLOTS ||
	    page_bytes(head->slots) != page->bytes) {
		page_close(page);
		return -EINVAL;
	}
	page_lay(p, page, head->slots);
	return 0;
}

int health_page_map(struct health_page *p, int fd)
{
	struct page page;
	int rc = page_map(&page, fd, sizeof(*p->head), page_bytes(HEALTH_PAGE_SLOTS));

	*p = (struct health_page){.fd = -1};
	return rc ? rc : page_check(p, &page);
}

int health_page_open(struct health_page *p, const char *dir, struct err *e)
{
	struct page page;
	int rc = page_open(&page, dir, HEALTH_PAGE_FILE, sizeof(*p->head),
			   page_bytes(HEALTH_PAGE_SLOTS), e);

	*p = (struct health_page){.fd = -1};
	if (rc == 0 && page_check(p, &page) != 0)
		rc = -EINVAL;
	if (rc == -EINVAL)
		err_set(e, EINVAL, "%s/%s: not the states of backends as this version writes them",
			dir, HEALTH_PAGE_FILE);
	return rc;
}

void health_page_close(struct health_page *p)
{
	struct page page = {p->head, p->bytes, p->fd};

	page_close(&page);
	*p = (struct health_page){.fd = -1};
}

void health_record_read(const struct health_record *from, struct health_record *to)
{
	page_read(&from->sequence, (char *)to + sizeof(to->sequence),
		  (const char *)from + sizeof(from->sequence), sizeof(*to) - sizeof(to->sequence));
	to->pool[sizeof(to->pool) - 1] = to->backend[sizeof(to->backend) - 1] = '\0';
	to->address[sizeof(to->address) - 1] = to->type[sizeof(to->type) - 1] = '\0';
	to->error[sizeof(to->error) - 1] = '\0';
}
