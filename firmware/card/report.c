/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints complaints in the form that editors jump to:
 *
 *   card.yaml:8:5: error: unknown key 'qeue-entries', did you mean …?
 *       qeue-entries: 64
 *       ^~~~~~~~~~~~
 *
 * Columns count characters, not bytes.  Runs before the card does, or on the
 * main thread.
 */
#include "firmware/card/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "firmware/rt/scope.h"

#define SHOWN_COLUMNS 160 /* of a source line, at most */

size_t card_source_line(const struct card_source *source, size_t offset)
{
	size_t line = 1;

	for (size_t i = 0; i < offset && i < source->size; i++)
		line += source->text[i] == '\n';
	return line;
}

static size_t line_start(const struct card_source *source, size_t offset)
{
	while (offset > 0 && source->text[offset - 1] != '\n')
		offset--;
	return offset;
}

static size_t line_end(const struct card_source *source, size_t offset)
{
	while (offset < source->size && source->text[offset] != '\n' &&
	       source->text[offset] != '\r')
		offset++;
	return offset;
}

/* UTF-8 continuation bytes take no column of their own. */
static bool begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t count_characters(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += begins_character(text[i]);
	return count;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == '\x7f';
}

static void print_line(FILE *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		fputc(is_control(text[i]) && text[i] != '\t' ? '?' : text[i],
		      out);
	fputc('\n', out);
}

/* Tabs are repeated, so that the caret stands under its character. */
static void print_caret(FILE *out, const char *line, size_t before,
			size_t marked)
{
	size_t count = count_characters(line + before, marked);

	for (size_t i = 0; i < before; i++)
		if (begins_character(line[i]))
			fputc(line[i] == '\t' ? '\t' : ' ', out);
	fputc('^', out);
	for (size_t i = 1; i < count; i++)
		fputc('~', out);
	fputc('\n', out);
}

static void print_source(FILE *out, const struct card_source *source,
			 struct card_span span)
{
	size_t start = line_start(source, span.start);
	size_t end = line_end(source, span.start);
	size_t marked_end = span.end < end ? span.end : end;

	if (end - start > SHOWN_COLUMNS || end == start)
		return;
	print_line(out, source->text + start, end - start);
	print_caret(out, source->text + start, span.start - start,
		    marked_end > span.start ? marked_end - span.start : 0);
}

static void print_place(FILE *out, const struct card_source *source,
			struct card_span span, const char *kind)
{
	size_t start = line_start(source, span.start);

	fprintf(out, "%s:%zu:%zu: %s: ", source->name,
		card_source_line(source, span.start),
		count_characters(source->text + start, span.start - start) + 1,
		kind);
}

static void complain(struct card_report *report, struct card_span span,
		     const char *text)
{
	const struct card_source *source = report->source;

	report->last = span;
	if (!report->count++)
		rt_error_set(&report->first, -EINVAL, "%s", text);
	if (!report->out || !source)
		return;
	if (span.start > source->size)
		span.start = source->size;
	print_place(report->out, source, span, "error");
	print_line(report->out, text, strlen(text));
	print_source(report->out, source, span);
}

void card_complain(struct card_report *report, const struct card_node *node,
		   enum card_spot spot, const char *format, ...)
{
	bool at_key = spot == CARD_AT_KEY && node->key;
	char text[512], path[sizeof report->first.place];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	complain(report, at_key ? node->key_span : node->span, text);
	if (report->count == 1 && !report->source) {
		card_node_path(node, path, sizeof path);
		rt_error_place(&report->first, "%s", path);
	}
}

void card_complain_at(struct card_report *report, struct card_span span,
		      const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	complain(report, span, text);
}

void card_note(struct card_report *report, const char *hint)
{
	if (!hint[0] || !report->out || !report->source)
		return;
	print_place(report->out, report->source, report->last, "note");
	print_line(report->out, hint, strlen(hint));
}

#define LONGEST_WORD 40

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Letters to change, add, drop or swap to come from one word to the other. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][LONGEST_WORD + 1] = { 0 };
	size_t *before = rows[0], *last = rows[1], *now = rows[2], *spare;
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > LONGEST_WORD || b_length > LONGEST_WORD)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		now[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b_length];
}

const char *card_suggest(const char *word, const char *const *words,
			 size_t count)
{
	size_t best = strlen(word) / 3 + 1, d;
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!words[i])
			continue;
		d = distance(word, words[i]);
		if (d <= best && (!found || d < best)) {
			best = d;
			found = words[i];
		}
	}
	return found;
}
