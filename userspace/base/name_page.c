// SPDX-License-Identifier: BSD-2-Clause
#include "base/name_page.h"

#include <errno.h>
#include <string.h>

#define MAGIC "slNames1"

static size_t page_bytes(uint32_t names, uint32_t seats)
{
	return sizeof(struct name_head) +
	       names * (sizeof(struct name_record) + seats * sizeof(struct name_seat));
}

static void page_lay(struct name_page *p, const struct page *page, uint32_t names)
{
	char *at = (char *)page->at + sizeof(struct name_head);

	*p = (struct name_page){.head = page->at,
				.records = (struct name_record *)at,
				.seats = (struct name_seat *)(at + names * sizeof(*p->records)),
				.bytes = page->bytes,
				.fd = page->fd};
}

int name_page_make(struct name_page *p, const char *dir, uint32_t names, uint32_t seats,
		   struct err *e)
{
	struct page page;
	int rc = page_make(&page, dir, NAME_PAGE_FILE, page_bytes(names, seats), e);

	*p = (struct name_page){.fd = -1};
	if (rc)
		return rc;
	page_lay(p, &page, names);
	p->head->record_bytes = sizeof(struct name_record);
	p->head->names = names;
	p->head->seats = seats;
	memcpy(p->head->magic, MAGIC, sizeof(p->head->magic));
	return 0;
}

/* ---- reading -------------------------------------------------------------------------- */

static int page_check(struct name_page *p, struct page *page)
{
	const struct name_head *head = page->at;

	if (memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0 ||
	    head->record_bytes != sizeof(struct name_record) || head->names > NAME_PAGE_MOST ||
	    head->seats > NAME_PAGE_MOST || page_bytes(head->names, head->seats) != page->bytes) {
		page_close(page);
		return -EINVAL;
	}
	page_lay(p, page, head->names);
	return 0;
}

int name_page_map(struct name_page *p, int fd)
{
	struct page page;
	int rc = page_map(&page, fd, sizeof(*p->head), NAME_PAGE_BYTES);

	*p = (struct name_page){.fd = -1};
	return rc ? rc : page_check(p, &page);
}

int name_page_open(struct name_page *p, const char *dir, struct err *e)
{
	struct page page;
	int rc = page_open(&page, dir, NAME_PAGE_FILE, sizeof(*p->head), NAME_PAGE_BYTES, e);

	*p = (struct name_page){.fd = -1};
	if (rc)
		return rc;
	rc = page_check(p, &page);
	return rc ? err_set(e, EINVAL, "%s/%s: not the names as this version writes them", dir,
			    NAME_PAGE_FILE)
		  : 0;
}

void name_page_close(struct name_page *p)
{
	struct page page = {p->head, p->bytes, p->fd};

	page_close(&page);
	*p = (struct name_page){.fd = -1};
}

struct name_seat name_page_seat(const struct name_page *p, uint32_t name, uint32_t seat)
{
	struct name_seat out = {0};

	if (name < p->head->names && seat < p->head->seats)
		page_read(&p->records[name].sequence, &out, name_page_seats(p, name) + seat,
			  sizeof(out));
	return out;
}

void name_page_record(const struct name_page *p, uint32_t name, struct name_record *to)
{
	const struct name_record *from = &p->records[name];

	page_read(&from->sequence, (char *)to + sizeof(to->sequence),
		  (const char *)from + sizeof(from->sequence), sizeof(*to) - sizeof(to->sequence));
	to->name[sizeof(to->name) - 1] = to->error[sizeof(to->error) - 1] = '\0';
}
