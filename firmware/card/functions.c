/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists of functions.def and rooms.def, as the linker sees them. */
#include "firmware/card/functions.h"

#include <stddef.h>

#define FUNCTION(type) extern const struct pcie_function_type type;
#include "firmware/card/functions.def"
#undef FUNCTION

#define ROOM(table) extern const struct rt_trace_table table;
#include "firmware/card/rooms.def"
#undef ROOM

const struct pcie_function_type *const card_functions[] = {
#define FUNCTION(type) &type,
#include "firmware/card/functions.def"
#undef FUNCTION
	NULL,
};

const struct rt_trace_table *const card_traces[] = {
#define ROOM(table) &table,
#include "firmware/card/rooms.def"
#undef ROOM
	NULL,
};
