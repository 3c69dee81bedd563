/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mistakes that there are, and how one stands before a function of the
 * card (ld --wrap).
 */
#ifndef TESTS_WRONG_WRONG_H
#define TESTS_WRONG_WRONG_H

#include <stdbool.h>

enum mistake {
	NO_MISTAKE,
#define MISTAKE(name, rule, sentence) M_##name,
#define ESCAPE(name, sentence)        M_##name,
#include "tests/wrong/mistakes.def"
#undef ESCAPE
#undef MISTAKE
};

/* Is that the one that $NITRO_MISTAKE has chosen?  Any thread. */
bool makes(enum mistake mistake);

/*
 * What stands before name(): it may call __real_name().  At the start of a
 * line: CMakeLists.txt reads the names from there.
 */
#define WRAP(type, name, ...)                                                  \
	type __real_##name(__VA_ARGS__);                                       \
	type __wrap_##name(__VA_ARGS__);                                       \
	type __wrap_##name(__VA_ARGS__)

/* From mistakes.c: write to this address, again and again, from a while after
 * now on. */
struct pcie_function;
void write_late(struct pcie_function *fn, unsigned long long iova);

#endif
