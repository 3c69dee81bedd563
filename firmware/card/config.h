/* SPDX-License-Identifier: BSD-3-Clause */
/* A card's configuration: what nitro-card.yaml(5) describes, checked. */
#ifndef FIRMWARE_CARD_CONFIG_H
#define FIRMWARE_CARD_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "firmware/card/report.h"
#include "firmware/rt/option.h"

struct pcie_function_type;

struct card_settings {
	char *name;
	char *socket_dir;
	char *state_dir;        /* NULL: nobody knows one */
	unsigned int log_level; /* enum rt_log_level */
	uint64_t workers;       /* 0: the card's choice */
	unsigned int sandbox;   /* enum rt_sandbox_mode */
	char *capture_dir;      /* NULL: there is none */
};

struct card_function_config {
	const struct pcie_function_type *type;
	char *name;
	void *values;                 /* type->config_size bytes */
	const struct card_node *node; /* the function's mapping */
};

/* Also the parameters of fault.set. */
struct card_fault_config {
	char *target; /* a function's name */
	char *point;
	uint32_t probability_ppm;
	uint64_t value, skip, limit, seed;
	const struct card_node *node;
};

/* NULL in node: the card has none. */
struct card_tpm_config {
	char *name, *instance;
	const struct card_node *node;
};

struct card_config {
	const struct pcie_function_type *const *types;
	struct card_source source;
	struct card_node *root;
	struct card_report report;
	struct card_settings card;
	struct card_tpm_config tpm;
	struct card_function_config *functions;
	size_t function_count;
	struct card_fault_config *faults;
	size_t fault_count;
};

/* The tables of the keys; they end with a row whose name is NULL. */
extern const struct rt_option card_settings_keys[];
extern const struct rt_option card_fault_keys[];
extern const struct rt_option card_tpm_keys[];
extern const struct rt_option card_name_keys[]; /* of every function */

/* A configuration that explains itself, and what runs without any. */
extern const char card_config_example[];
extern const char card_config_default[];

/*
 * Check and take a configuration.  types end with NULL and are borrowed, as is
 * out (NULL: silent), to which all complaints are printed.  source is taken in
 * any case.  -EINVAL: there were complaints; -ENOMEM.
 */
int card_config_create(const struct pcie_function_type *const *types,
		       struct card_source *source, FILE *out,
		       struct card_config **out_config);
void card_config_destroy(struct card_config **config);

/* What went wrong with a value once it was tried.  place: "volume.file". */
void card_config_complain(struct card_config *config,
			  const struct card_node *node,
			  const struct rt_error *error);

/* The same configuration with every default written out. */
json_t *card_config_to_json(const struct card_config *config);
json_t *card_config_schema(const struct pcie_function_type *const *types);

#endif
