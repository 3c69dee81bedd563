/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of methods offer to the table in methods.c. */
#ifndef FIRMWARE_CARD_METHODS_H
#define FIRMWARE_CARD_METHODS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/card/config.h"
#include "firmware/card/rpc.h"
#include "firmware/rt/option.h"

#define METHOD(name, where, function, params, result, sentence)                \
	void card_method_##function(struct card_call *call);
#include "firmware/card/methods.def"
#undef METHOD

/* Parameters; of those methods that run THERE the function's name is first. */
struct card_none_params {
	char unused;
};
struct card_of_function_params {
	char *function;
};
struct card_bugs_list_params {
	char *function;
	bool all;
};
struct card_fault_clear_params {
	char *target, *point;
};
#define card_fault_set_params card_fault_config
struct card_function_do_params {
	char *function, *verb, *argument;
};
struct card_registers_read_params {
	char *function;
	bool config;
};
struct card_tpm_ek_params {
	unsigned int key, format; /* of the lists below */
};
struct card_trace_pattern_params {
	char *pattern;
};
struct card_trace_read_params {
	uint64_t count;
	bool skip;
};

/* What tpm.ek can be asked for; they end with NULL. */
extern const char *const card_tpm_ek_types[];
extern const char *const card_tpm_ek_formats[];

/* OpenMetrics text of the whole card; NULL: no memory.  The caller frees it. */
struct card;
char *card_metrics_text(const struct card *card);

#endif
