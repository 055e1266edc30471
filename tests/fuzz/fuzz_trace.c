// SPDX-License-Identifier: BSD-2-Clause
/* traceparent as it came; one that is taken is one that a next proxy takes too. */
// needs: userspace/l7/trace.c
#include <assert.h>
#include <stdint.h>

#include "l7/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_head h;
	char first[TRACE_LEN], second[TRACE_LEN];

	h.n_fields = 1;
	h.fields[0] = (struct http1_field){.value = {(const char *)data, size},
					   .id = HTTP1_F_TRACEPARENT};
	if (!trace_take(first, &h))
		return 0;
	h.fields[0].value = (struct span){first, TRACE_LEN};
	assert(trace_take(second, &h) && memcmp(first, second, TRACE_LEN) == 0);
	return 0;
}
