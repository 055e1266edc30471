/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CTL_WHY_SOURCE_H
#define CTL_WHY_SOURCE_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/err.h"

/* `sluice why ADDRESS`: how the gate would judge the source by each limit now. 0 or -errno. */
int why_source(const struct sluice_addr *source, bool json, struct err *e);

#endif
