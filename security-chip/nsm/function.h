/* SPDX-License-Identifier: BSD-3-Clause */
/* The Nitro Secure Module as a function of the card. */
#ifndef SECURITY_CHIP_NSM_FUNCTION_H
#define SECURITY_CHIP_NSM_FUNCTION_H

struct pcie_function_type;

/* What the options in tables.c fill. */
struct nsm_config {
	char *name;
	char *instance_id;  /* "i-…"; NULL: one that follows from the name */
	char *module_id;    /* NULL: the instance's with "-enc" and a number */
	char *role_arn;     /* NULL: none */
	char *region;       /* NULL: SEC_ATTEST_REGION */
	char *clock_offset; /* seconds, "-3600"; NULL: none */
};

extern const struct pcie_function_type nsm_function;

#endif
