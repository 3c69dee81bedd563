/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Complaints about what a user or client wrote, as a compiler makes them: all
 * at once, each with its place.  With a source, they are printed with the line
 * and a caret; without one, the first is kept for the answer to a call.
 */
#ifndef FIRMWARE_CARD_REPORT_H
#define FIRMWARE_CARD_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "firmware/card/node.h"
#include "firmware/rt/error.h"

/* A text that was read; text[size] is NUL. */
struct card_source {
	char *name; /* as the user gave it: "card.yaml" */
	char *text;
	size_t size;
};

struct card_report {
	FILE *out;                        /* NULL: print nothing */
	const struct card_source *source; /* NULL: there is no text */
	unsigned int count;               /* complaints made */
	struct card_span last;            /* where the last one was */
	struct rt_error first;            /* without a source */
};

enum card_spot { CARD_AT_KEY, CARD_AT_VALUE };

void card_complain(struct card_report *report, const struct card_node *node,
		   enum card_spot spot, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* About the bytes of the source. */
void card_complain_at(struct card_report *report, struct card_span span,
		      const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* An addition to the complaint before; hint may be "". */
void card_note(struct card_report *report, const char *hint);

/* The line, from 1, in which a byte of the source stands. */
size_t card_source_line(const struct card_source *source, size_t offset);

/*
 * The one of count words that a mistyped word probably means, or NULL.  Words
 * that are NULL are skipped.
 */
const char *card_suggest(const char *word, const char *const *words,
			 size_t count);

#endif
