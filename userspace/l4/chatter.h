/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libbpf and libxdp say while they work. They are talkative even when all goes well,
 * so it is kept aside and shown only when something fails. SLUICE_DEBUG=1 in the
 * environment lets everything through as it comes.
 */
#ifndef L4_CHATTER_H
#define L4_CHATTER_H

#include <stddef.h>
#include <stdio.h>

/* Takes over both libraries' print functions, for the life of the process. */
void chatter_catch(void);
/* Forgets what was said so far: before an attempt whose words matter. */
void chatter_clear(void);
/* Copies what follows the last `needle` up to the end of its line; NULL if it is not there. */
const char *chatter_after(const char *needle, char *buf, size_t size);
/* The last lines, each marked as a quotation. */
void chatter_print(FILE *out);

#endif
