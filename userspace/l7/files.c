// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the step FILE: a file of a route's directory on its way to a client, whole, in parts, or
 * as an answer to a condition. Promises: a file that became shorter meanwhile never looks whole;
 * what a turn sends is bounded, and what a slow client has not taken stays in the file.
 * Cost: a small file leaves with its head in one call; a large one is never copied here (plain),
 * or through one buffer (TLS). Reading waits for the disk where the page cache has not the bytes.
 */
#include "l7/request.h"

#include <assert.h>
#include <time.h>
#include <unistd.h>

#include "base/httpdate.h"
#include "base/target.h"
#include "base/writer.h"
#include "l7/file_open.h"

#define FILE_SMALL 8192         /* goes into the buffer with its head */
#define FILE_CHUNK (128U << 10) /* asked of one call */
#define FILE_TURNS 4            /* calls before other connections have their turn */
#define FILE_HEAD  BUF_NOTE     /* fields that are written about a file at most */

static const struct span allow = SPAN("Allow: GET, HEAD\r\n");

/* ---- its head ------------------------------------------------------------------------- */

static void put_type(struct writer *w, const struct conf_files *files,
		     const struct conf_file_type *type)
{
	WRITER_PUT(w, "Content-Type: ");
	writer_put(w, type->type);
	if (type->text && files->charset.len) {
		WRITER_PUT(w, "; charset=");
		writer_put(w, files->charset);
	}
	WRITER_PUT(w, "\r\n");
}

/* What a part of several says of itself. */
static struct span part_fields(const struct client *c, char text[FILE_HEAD])
{
	struct writer w = {text, text + FILE_HEAD, false};

	put_type(&w, c->req->route->files, c->req->file.type);
	return (struct span){text, w.full ? 0 : (size_t)(w.p - text)};
}

/* Fields of an answer with the whole file; cache_head_answer takes of them what the answer has. */
static struct span fields(const struct client *c, const struct file_opened *f,
			  const struct validators *v, char text[FILE_HEAD])
{
	struct writer w = {text, text + FILE_HEAD, false};
	const struct conf_files *files = c->req->route->files;

	writer_put(&w, thread_date(thread_of(c)));
	put_type(&w, files, c->req->file.type);
	if (v->last_modified.len)
		writer_field(&w, SPAN("Last-Modified"), v->last_modified);
	writer_field(&w, SPAN("ETag"), v->etag);
	WRITER_PUT(&w, "Accept-Ranges: bytes\r\n");
	if (f->facts.encoding != CONF_ENCODING_identity)
		writer_field(&w, SPAN("Content-Encoding"), conf_encoding_name(f->facts.encoding));
	if (files->precompressed)
		WRITER_PUT(&w, "Vary: Accept-Encoding\r\n");
	return (struct span){text, w.full ? 0 : (size_t)(w.p - text)};
}

static bool head_put(struct client *c, struct span kept)
{
	struct thread *t = thread_of(c);
	struct buf *out = &c->link.out;
	struct cache_answer a = {.kind = c->req->part.kind,
				 .status = 200,
				 .kept = kept,
				 .origin = true,
				 .whole = c->req->file.size,
				 .length = c->req->file.size,
				 .range = c->req->part.one,
				 .boundary = c->req->part.boundary,
				 .close = c->req->close,
				 .keep_alive = c->req->minor == 0 && !c->req->close};
	uint32_t need = buf_len(out) + (uint32_t)kept.len + BUF_NOTE;
	char text[FILE_HEAD];
	size_t n;

	c->req->status = selection_status(&c->req->part, 200);
	a.edits = change_response(c);
	need += (uint32_t)edits_room(a.edits);
	a.body = a.kind == CACHE_UNMODIFIED ? HTTP1_BODY_NONE : HTTP1_BODY_LENGTH;
	if (a.kind == CACHE_UNSATISFIED)
		a.length = 0;
	else if (a.kind == CACHE_PART)
		a.length = a.range.last - a.range.first + 1;
	else if (a.kind == CACHE_PARTS)
		a.length = selection_length(&c->req->part, part_fields(c, text), c->req->file.size);
	if (!buf_reserve(&t->pool, out, need < BUF_SIZE ? BUF_SIZE : need))
		return false;
	n = cache_head_answer(out->data + out->end, buf_room(out), &a);
	assert(n > 0);
	out->end += (uint32_t)n;
	return true;
}

/* ---- its content ---------------------------------------------------------------------- */

static bool part_put(struct client *c)
{
	char kept[FILE_HEAD], text[SELECTION_PART];
	size_t n = selection_part(&c->req->part, text, sizeof(text), part_fields(c, kept),
				  c->req->file.size);

	return n > 0 && answer_put(c, text, n);
}

/* At the beginning of a range, or of all. */
static void range_set(struct client *c)
{
	struct file *f = &c->req->file;
	struct range r;

	f->at = 0;
	f->left = f->size;
	if (c->req->part.kind == CACHE_WHOLE)
		return;
	r = selection_range(&c->req->part);
	f->at = r.first;
	f->left = r.last - r.first + 1;
}

/* A few bytes leave with their head. Without room, or when they are not all there, they are left
 * to the step. */
static void small_put(struct client *c)
{
	struct buf *out = &c->link.out;
	struct file *f = &c->req->file;

	if (f->left == 0 || f->left > FILE_SMALL || buf_room(out) < f->left)
		return;
	if (pread(f->fd, out->data + out->end, f->left, (off_t)f->at) != (ssize_t)f->left)
		return;
	out->end += (uint32_t)f->left;
	f->left = 0;
}

/* Nothing of a range is left: GO with another one, or with another step. */
static enum go next_part(struct client *c)
{
	struct selection *p = &c->req->part;

	if (p->kind == CACHE_PARTS && p->at < p->n) {
		p->at++;
		if (!part_put(c))
			return request_abort(c, ACCESS_no_memory);
		if (p->at < p->n) {
			range_set(c);
			return GO;
		}
	}
	file_clear(c);
	c->step = STEP_FLUSH;
	return GO;
}

enum go file_send(struct client *c)
{
	struct file *f = &c->req->file;

	for (unsigned turn = 0; turn < FILE_TURNS; turn++) {
		ssize_t n;

		if (f->left == 0) {
			enum go go = next_part(c);

			if (go != GO || c->step != STEP_FILE)
				return go;
			continue;
		}
		n = link_send_file(&c->link, f->fd, f->at,
				   f->left < FILE_CHUNK ? f->left : FILE_CHUNK,
				   &thread_of(c)->pool);
		if (c->link.broken)
			return request_abort(c, ACCESS_client_gone);
		if (n < 0) {
			c->req->until_end = true; /* nobody may take it for all */
			return request_abort(c, ACCESS_file_cut);
		}
		if (n == 0)
			return request_watch(c, c->req->route->body_ms);
		f->at += (uint64_t)n;
		f->left -= (uint64_t)n;
	}
	return TURN;
}

void file_clear(struct client *c)
{
	if (c->req->file.fd)
		close(c->req->file.fd);
	c->req->file = (struct file){0};
	selection_fini(&c->req->part);
}

/* ---- which one ------------------------------------------------------------------------ */

static enum go refuse(struct client *c, unsigned status)
{
	return answer_fail(c, status, status == 503 ? ACCESS_no_memory : ACCESS_no_file);
}

/* A directory is to be asked for with a slash at its end. The path that the client knows is told,
 * and one slash in front of it: two would be another host. */
static enum go redirect(struct client *c, struct span target)
{
	struct forward_answer answer = {.status = 301};
	struct buf *to = &thread_of(c)->rewritten;
	struct span path = {target.p, target_path(target)};
	struct writer w;

	while (path.len > 1 && path.p[1] == '/') {
		path.p++;
		path.len--;
	}
	if (!buf_reserve(&thread_of(c)->pool, to, (uint32_t)target.len + 1))
		return answer_fail(c, 503, ACCESS_no_memory);
	w = (struct writer){to->data, to->data + to->size, false};
	writer_put(&w, path);
	WRITER_PUT(&w, "/");
	writer_put(&w, (struct span){path.p + path.len,
				     (size_t)(target.p + target.len - path.p) - path.len});
	answer.location = (struct span){to->data, (size_t)(w.p - to->data)};
	c->req->reason = ACCESS_answered;
	return answer_with(c, &answer, relay_read_all(&c->req->up));
}

/* Answers with what was opened, as far as the client wants it. */
static enum go answer(struct client *c, const struct http1_head *h, const struct file_opened *f)
{
	char etag[FILE_ETAG], date[HTTPDATE_TEXT], kept[FILE_HEAD];
	int64_t now = (int64_t)time(NULL);
	struct validators v = {.etag = file_etag(&f->facts, etag),
			       .modified = f->facts.modified < now ? f->facts.modified : now};
	struct span about;

	v.last_modified = httpdate_format(v.modified, date);
	c->req->file.fd = f->fd;
	c->req->file.size = f->facts.size;
	c->req->file.type = conf_file_type(c->req->route->files, f->name);
	if (!validate_precondition(h, &v, now)) {
		file_clear(c);
		return refuse(c, 412);
	}
	c->req->close |= !relay_read_all(&c->req->up) || thread_of(c)->draining;
	c->req->answer_at = c->link.sent + buf_len(&c->link.out);
	c->req->reason = ACCESS_answered;
	c->req->first_ms = thread_of(c)->now_ms;
	about = fields(c, f, &v, kept);
	/* A date of the last second may be that of two files (RFC 9110 section 8.8.2.2). */
	if (now - v.modified < 2)
		v.last_modified = SPAN("");
	if (!selection_choose(&c->req->part, h, &v, f->facts.size, now) || !head_put(c, about))
		return answer_fail(c, 503, ACCESS_no_memory);
	c->req->answering = true;
	c->step = STEP_FLUSH;
	if (c->req->method == HTTP1_M_HEAD || !selection_has_content(&c->req->part))
		return GO;
	if (c->req->part.kind == CACHE_PARTS && !part_put(c))
		return request_abort(c, ACCESS_no_memory);
	range_set(c);
	small_put(c);
	c->step = STEP_FILE;
	return GO;
}

/* The target, or what the route makes of it. */
static bool target_of(struct client *c, const struct route_choice *choice, struct span *target)
{
	struct expand_facts facts;

	*target = thread_of(c)->head.path;
	if (c->req->route->rewrite.n == 0)
		return true;
	rules_facts(c, choice, &facts);
	return change_target(c, &facts, target);
}

enum go file_answer(struct client *c, const struct route_choice *choice)
{
	const struct conf_files *files = c->req->route->files;
	struct thread *t = thread_of(c);
	const struct http1_head *h = &t->head;
	struct span target, name;
	struct file_opened f = {.fd = -1};
	char buf[FILE_NAME_ROOM];
	unsigned status;

	relay_drop(&c->req->up, &c->link);
	if (h->method != HTTP1_M_GET && h->method != HTTP1_M_HEAD) {
		c->req->reason = ACCESS_refused;
		return answer_own(c, 405, relay_read_all(&c->req->up), allow);
	}
	if (!target_of(c, choice, &target))
		return answer_fail(c, 400, ACCESS_refused);
	if (!file_name(&name, (struct span){target.p, target_path(target)}, buf))
		return refuse(c, 404);
	memmove(buf, name.p, name.len);
	status = file_open(&f, t->roots[files->root], files, buf, name.len);
	if (status == 301)
		return redirect(c, h->path);
	if (status)
		return refuse(c, status);
	if (files->precompressed)
		file_precompressed(&f, t->roots[files->root], h, buf);
	return answer(c, h, &f);
}
