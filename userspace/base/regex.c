// SPDX-License-Identifier: BSD-2-Clause
#include "base/regex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define STACK_FIRST 32768 /* of compiled expressions */
#define STACK_MOST  (512U << 10)
#define HEAP_KIB    1024 /* where there is no compiled one */

struct regex {
	pcre2_code *code;
};

struct regex_run {
	pcre2_match_context *context;
	pcre2_match_data *data;
	pcre2_jit_stack *stack;
};

int regex_compile(struct regex **out, const char *pattern, bool any_case, char *why, size_t room)
{
	/* Bytes are bytes; $ is the end, and not in front of a newline there. */
	uint32_t options = PCRE2_NEVER_UTF | PCRE2_DOLLAR_ENDONLY | (any_case ? PCRE2_CASELESS : 0);
	struct regex *r = malloc(sizeof(*r));
	PCRE2_SIZE at;
	int error;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	r->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error, &at,
				NULL);
	if (!r->code) {
		PCRE2_UCHAR text[128];

		free(r);
		if (error == PCRE2_ERROR_HEAP_FAILED)
			return -ENOMEM;
		pcre2_get_error_message(error, text, sizeof(text));
		snprintf(why, room, "%s, at byte %zu", (char *)text, (size_t)at + 1);
		return -EINVAL;
	}
	/* Without machine code it is interpreted. */
	pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
	*out = r;
	return 0;
}

void regex_free(struct regex *r)
{
	if (!r)
		return;
	pcre2_code_free(r->code);
	free(r);
}

struct regex_run *regex_run_new(void)
{
	struct regex_run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->context = pcre2_match_context_create(NULL);
	run->data = pcre2_match_data_create(REGEX_CAPTURES, NULL);
	run->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MOST, NULL);
	if (!run->context || !run->data) {
		regex_run_free(run);
		return NULL;
	}
	pcre2_set_match_limit(run->context, REGEX_STEPS);
	pcre2_set_depth_limit(run->context, REGEX_STEPS);
	pcre2_set_heap_limit(run->context, HEAP_KIB);
	if (run->stack)
		pcre2_jit_stack_assign(run->context, NULL, run->stack);
	return run;
}

void regex_run_free(struct regex_run *run)
{
	if (!run)
		return;
	if (run->stack)
		pcre2_jit_stack_free(run->stack);
	pcre2_match_data_free(run->data);
	pcre2_match_context_free(run->context);
	free(run);
}

static void captures_take(struct span captures[REGEX_CAPTURES], struct span subject,
			  const PCRE2_SIZE *ends, unsigned n)
{
	for (unsigned i = 0; i < REGEX_CAPTURES; i++) {
		bool there = i < n && ends[2 * i] != PCRE2_UNSET && ends[2 * i] <= ends[2 * i + 1];

		captures[i] = there ? (struct span){subject.p + ends[2 * i],
						    ends[2 * i + 1] - ends[2 * i]}
				    : SPAN("");
	}
}

enum regex_result regex_match(const struct regex *r, struct regex_run *run, struct span subject,
			      struct span captures[REGEX_CAPTURES])
{
	const char *p = subject.len ? subject.p : "";
	int rc = pcre2_match(r->code, (PCRE2_SPTR)p, subject.len, 0, 0, run->data, run->context);

	if (rc == PCRE2_ERROR_NOMATCH)
		return REGEX_NO;
	if (rc < 0)
		return REGEX_FAILED;
	/* 0: there are more captures than places. */
	if (captures)
		captures_take(captures, (struct span){p, subject.len},
			      pcre2_get_ovector_pointer(run->data),
			      rc ? (unsigned)rc : REGEX_CAPTURES);
	return REGEX_YES;
}
