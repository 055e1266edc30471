/* SPDX-License-Identifier: BSD-2-Clause */
/* A file on its way to a client; which part of it, client.part says. */
#ifndef L7_FILES_H
#define L7_FILES_H

#include "conf/files.h"

struct file {
	int fd; /* 0 = none */
	const struct conf_file_type *type;
	uint64_t size;     /* as it was when it was opened */
	uint64_t at, left; /* to be sent */
};

#endif
