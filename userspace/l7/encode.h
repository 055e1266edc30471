/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compressing answers: which encoding a client wants (RFC 9110 section 12.5.3), whether an
 * answer may have one, and the encoders. Only the encoders have state.
 */
#ifndef L7_ENCODE_H
#define L7_ENCODE_H

#include "conf/compress.h"
#include "l7/http1.h"

#define ENCODER_SPARE 16  /* of each kind that a thread keeps for the next answer */
#define ENCODER_MOST  512 /* at work in a thread; beyond that answers go as they are */

/* What the client of a request likes best of what is offered; identity if nothing. */
enum conf_encoding encode_wanted(const struct http1_head *request, const struct conf_compress *c);

/*
 * An answer that would be compressed for some client: caches must know that it depends on
 * Accept-Encoding, whichever this client gets.
 */
bool encode_eligible(const struct http1_head *response, const struct conf_compress *c);

/* ---- encoders ------------------------------------------------------------------------- */

struct encoder;

/* Of one thread. Zeroed is ready. */
struct encoders {
	struct encoder *spare[CONF_ENCODING_COUNT];
	unsigned n_spare[CONF_ENCODING_COUNT];
	unsigned n_used;
};

/* For one body. NULL: too many are at work, or memory ran out. */
struct encoder *encoder_get(struct encoders *es, enum conf_encoding kind,
			    const struct conf_compress *c);
/* NULL is fine. */
void encoder_put(struct encoders *es, struct encoder *e);
void encoders_fini(struct encoders *es);

enum encoder_op {
	ENCODER_TAKE,  /* may keep what it takes, to compress it better */
	ENCODER_FLUSH, /* what was taken is to come out */
	ENCODER_END,   /* likewise, and nothing follows */
};

/*
 * Takes bytes off the front of *in and writes at most room bytes to out; *made says how many.
 * True: all of *in was taken and the operation is complete. False: call again with more room;
 * *failed is set when the library broke down, and nothing more will come.
 */
bool encoder_run(struct encoder *e, enum encoder_op op, struct span *in, char *out, size_t room,
		 size_t *made, bool *failed);

#endif
