// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the compressing libraries behind one face. Cost: an encoder of zlib is 270 kB, of zstd
 * about as much, of Brotli up to 1 MB, while an answer is on its way; windows are smaller than
 * the libraries' defaults, since pages are. zlib's and zstd's are used again.
 */
#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "l7/encode.h"

#define GZIP_WINDOW (15 + 16) /* 32 kB, and gzip's own frame */
#define GZIP_MEMORY 8
#define WINDOW_LOG  18 /* of Brotli and zstd: 256 kB */

struct encoder {
	struct encoder *next; /* spare */
	enum conf_encoding kind;
	uint32_t level;
	z_stream gzip;
	BrotliEncoderState *br;
	ZSTD_CStream *zstd;
};

static bool gzip_init(struct encoder *e)
{
	return deflateInit2(&e->gzip, (int)e->level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
			    Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool br_init(struct encoder *e)
{
	e->br = BrotliEncoderCreateInstance(NULL, NULL, NULL);
	return e->br && BrotliEncoderSetParameter(e->br, BROTLI_PARAM_QUALITY, e->level) &&
	       BrotliEncoderSetParameter(e->br, BROTLI_PARAM_LGWIN, WINDOW_LOG);
}

static bool zstd_init(struct encoder *e)
{
	e->zstd = ZSTD_createCStream();
	return e->zstd &&
	       !ZSTD_isError(
		       ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, (int)e->level)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_windowLog, WINDOW_LOG));
}

static void encoder_free(struct encoder *e)
{
	if (e->kind == CONF_ENCODING_gzip)
		deflateEnd(&e->gzip);
	if (e->br)
		BrotliEncoderDestroyInstance(e->br);
	ZSTD_freeCStream(e->zstd);
	free(e);
}

static uint32_t level_of(enum conf_encoding kind, const struct conf_compress *c)
{
	return kind == CONF_ENCODING_gzip ? c->gzip_level
	       : kind == CONF_ENCODING_br ? c->br_level
					  : c->zstd_level;
}

static struct encoder *encoder_new(enum conf_encoding kind, uint32_t level)
{
	struct encoder *e = calloc(1, sizeof(*e));
	bool ok;

	if (!e)
		return NULL;
	e->kind = kind;
	e->level = level;
	ok = kind == CONF_ENCODING_gzip ? gzip_init(e)
	     : kind == CONF_ENCODING_br ? br_init(e)
					: zstd_init(e);
	if (ok)
		return e;
	encoder_free(e);
	return NULL;
}

struct encoder *encoder_get(struct encoders *es, enum conf_encoding kind,
			    const struct conf_compress *c)
{
	uint32_t level = level_of(kind, c);
	struct encoder *e = es->spare[kind];

	if (es->n_used == ENCODER_MOST)
		return NULL;
	/* Services may have levels of their own. */
	if (e && e->level == level) {
		es->spare[kind] = e->next;
		es->n_spare[kind]--;
	} else {
		e = encoder_new(kind, level);
	}
	es->n_used += e != NULL;
	return e;
}

static bool encoder_reset(struct encoder *e)
{
	if (e->kind == CONF_ENCODING_gzip)
		return deflateReset(&e->gzip) == Z_OK;
	return e->kind == CONF_ENCODING_zstd &&
	       !ZSTD_isError(ZSTD_CCtx_reset(e->zstd, ZSTD_reset_session_only));
}

void encoder_put(struct encoders *es, struct encoder *e)
{
	if (!e)
		return;
	es->n_used--;
	if (es->n_spare[e->kind] >= ENCODER_SPARE || !encoder_reset(e)) {
		encoder_free(e);
		return;
	}
	e->next = es->spare[e->kind];
	es->spare[e->kind] = e;
	es->n_spare[e->kind]++;
}

void encoders_fini(struct encoders *es)
{
	for (unsigned kind = 0; kind < CONF_ENCODING_COUNT; kind++)
		for (struct encoder *e; (e = es->spare[kind]);) {
			es->spare[kind] = e->next;
			encoder_free(e);
		}
	*es = (struct encoders){0};
}

/* ---- work ----------------------------------------------------------------------------- */

static bool gzip_run(struct encoder *e, enum encoder_op op, struct span *in, char *out, size_t room,
		     size_t *made, bool *failed)
{
	static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
	int rc;

	e->gzip.next_in = (Bytef *)in->p;
	e->gzip.avail_in = (uInt)in->len;
	e->gzip.next_out = (Bytef *)out;
	e->gzip.avail_out = (uInt)room;
	rc = deflate(&e->gzip, flush[op]);
	*made = room - e->gzip.avail_out;
	*in = (struct span){in->p + in->len - e->gzip.avail_in, e->gzip.avail_in};
	/* Z_BUF_ERROR: there was nothing to do. */
	*failed = rc == Z_STREAM_ERROR;
	if (op == ENCODER_END)
		return rc == Z_STREAM_END;
	return in->len == 0 && e->gzip.avail_out > 0;
}

static bool br_run(struct encoder *e, enum encoder_op op, struct span *in, char *out, size_t room,
		   size_t *made, bool *failed)
{
	static const BrotliEncoderOperation ops[] = {
		BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
	const uint8_t *next_in = (const uint8_t *)in->p;
	uint8_t *next_out = (uint8_t *)out;
	size_t left = room;

	*failed = !BrotliEncoderCompressStream(e->br, ops[op], &in->len, &next_in, &left, &next_out,
					       NULL);
	in->p = (const char *)next_in;
	*made = room - left;
	if (op == ENCODER_END)
		return BrotliEncoderIsFinished(e->br);
	return in->len == 0 && !BrotliEncoderHasMoreOutput(e->br);
}

static bool zstd_run(struct encoder *e, enum encoder_op op, struct span *in, char *out, size_t room,
		     size_t *made, bool *failed)
{
	static const ZSTD_EndDirective ops[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
	ZSTD_inBuffer from = {in->p, in->len, 0};
	ZSTD_outBuffer to = {out, room, 0};
	size_t left = ZSTD_compressStream2(e->zstd, &to, &from, ops[op]);

	*failed = ZSTD_isError(left);
	*made = to.pos;
	*in = (struct span){in->p + from.pos, in->len - from.pos};
	return !*failed && in->len == 0 && (op == ENCODER_TAKE ? to.pos < room : left == 0);
}

bool encoder_run(struct encoder *e, enum encoder_op op, struct span *in, char *out, size_t room,
		 size_t *made, bool *failed)
{
	switch (e->kind) {
	case CONF_ENCODING_gzip:
		return gzip_run(e, op, in, out, room, made, failed);
	case CONF_ENCODING_br:
		return br_run(e, op, in, out, room, made, failed);
	default:
		return zstd_run(e, op, in, out, room, made, failed);
	}
}
