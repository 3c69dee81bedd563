/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trace rings and their readers.
 *
 * Each thread that has a source writes a ring of its own; one reader copies
 * records out of all of them without stopping anybody.  A slot carries the
 * number of its record: zero while it is being written.  The writer stores
 * every word with release and the reader loads every word with acquire, so a
 * reader that met a word of a newer record also meets the newer number (or the
 * zero) when it looks at the number again, and drops its copy.
 *
 * Rings are mapped once and never freed: a thread that ends leaves its ring,
 * with its last records, to the next one that starts.
 *
 * syscalls: mmap[2&PROT_EXEC=0]
 */
#include "firmware/rt/trace.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/text.h"

#define SOURCES 4096 /* different labels, at most */

enum word {
	WORD_TIME,
	WORD_EVENT,
	WORD_SOURCE,
	WORD_ARGS,
	WORDS = WORD_ARGS + RT_TRACE_ARGS
};

struct slot {
	_Atomic uint64_t number; /* of the record, from 1; 0: being written */
	_Atomic uint64_t words[WORDS];
};

struct ring {
	_Atomic uint64_t head; /* records written so far */
	struct slot slots[RT_TRACE_RING_RECORDS];
};

static const struct rt_trace_table *const no_tables[] = { NULL };
static const struct rt_trace_table *const *all_tables = no_tables;

/* Taking a ring and naming a source are rare: one lock for both. */
static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct ring *) rings[RT_TRACE_RINGS];
static bool ring_is_taken[RT_TRACE_RINGS];
static char sources[SOURCES][RT_TRACE_SOURCE_SIZE];

static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;

_Thread_local const char *rt_trace_in_use;
static _Thread_local struct ring *own_ring;
static _Thread_local const char *own_source;

/* One conversion of a format: "%#06lx" is flags "#06" and conversion 'x'. */
struct conversion {
	char flags[8];
	char letter;
	size_t length; /* of all of it in the format */
};

static bool parse_conversion(const char *at, struct conversion *out)
{
	size_t flags = strspn(at + 1, "#0123456789-. ");
	size_t modifiers = strspn(at + 1 + flags, "hlzjt");
	char letter = at[1 + flags + modifiers];

	if (!letter || !strchr("uxXodi", letter) || flags >= sizeof out->flags)
		return false;
	memcpy(out->flags, at + 1, flags);
	out->flags[flags] = '\0';
	out->letter = letter;
	out->length = 1 + flags + modifiers + 1;
	return true;
}

static bool format_fits(const struct rt_trace_event *event)
{
	struct conversion conversion;
	unsigned int count = 0;

	for (const char *at = event->format; (at = strchr(at, '%'));) {
		if (at[1] == '%') {
			at += 2;
			continue;
		}
		if (!parse_conversion(at, &conversion))
			return false;
		at += conversion.length;
		count++;
	}
	return count == event->arg_count;
}

const struct rt_trace_event *rt_trace_event_at(size_t i)
{
	for (size_t t = 0; all_tables[t]; t++) {
		if (i < all_tables[t]->count)
			return &all_tables[t]->events[i];
		i -= all_tables[t]->count;
	}
	return NULL;
}

int rt_trace_init(const struct rt_trace_table *const *tables)
{
	const struct rt_trace_event *event;

	all_tables = tables;
	for (size_t i = 0; (event = rt_trace_event_at(i)); i++) {
		if (format_fits(event))
			continue;
		rt_log_error("trace",
			     "the format of %s does not fit its %u "
			     "arguments",
			     event->name, event->arg_count);
		all_tables = no_tables;
		return -EINVAL;
	}
	return 0;
}

size_t rt_trace_enable(const char *pattern, bool is_on)
{
	size_t matches = 0;

	for (size_t t = 0; all_tables[t]; t++) {
		for (size_t i = 0; i < all_tables[t]->count; i++) {
			struct rt_trace_event *event =
				&all_tables[t]->events[i];

			if (fnmatch(pattern, event->name, 0))
				continue;
			atomic_store_explicit(&event->is_on, is_on,
					      memory_order_relaxed);
			matches++;
		}
	}
	return matches;
}

static void leave_ring(void *ring)
{
	pthread_mutex_lock(&setup_lock);
	for (size_t i = 0; i < RT_TRACE_RINGS; i++)
		if (atomic_load_explicit(&rings[i], memory_order_relaxed) ==
		    ring)
			ring_is_taken[i] = false;
	pthread_mutex_unlock(&setup_lock);
}

static void make_thread_end(void)
{
	/* Without a key the rings of ended threads are not used again. */
	if (pthread_key_create(&thread_end, leave_ring))
		thread_end = (pthread_key_t)-1;
}

static struct ring *map_ring(void)
{
	void *p = mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Under setup_lock. */
static int take_ring(struct ring **out)
{
	size_t i = 0;
	struct ring *ring;

	while (i < RT_TRACE_RINGS && ring_is_taken[i])
		i++;
	if (i == RT_TRACE_RINGS)
		return -ENOSPC;
	ring = atomic_load_explicit(&rings[i], memory_order_relaxed);
	if (!ring)
		ring = map_ring();
	if (!ring)
		return -ENOMEM;
	atomic_store_explicit(&rings[i], ring, memory_order_release);
	ring_is_taken[i] = true;
	*out = ring;
	return 0;
}

/* Under setup_lock. */
static const char *find_source(const char *name)
{
	for (size_t i = 0; i < SOURCES; i++) {
		if (!sources[i][0])
			snprintf(sources[i], sizeof sources[i], "%s", name);
		if (!strncmp(sources[i], name, sizeof sources[i] - 1))
			return sources[i];
	}
	return NULL;
}

const char *rt_trace_source(const char *name)
{
	const char *source;

	pthread_mutex_lock(&setup_lock);
	source = find_source(name);
	pthread_mutex_unlock(&setup_lock);
	return source;
}

int rt_trace_set_source(const char *name)
{
	const char *source;
	int err = 0;

	pthread_once(&thread_end_once, make_thread_end);
	pthread_mutex_lock(&setup_lock);
	source = find_source(name);
	if (!source)
		err = -ENOSPC;
	else if (!own_ring)
		err = take_ring(&own_ring);
	pthread_mutex_unlock(&setup_lock);
	if (err)
		return err;
	own_source = source;
	rt_trace_use(NULL);
	pthread_setspecific(thread_end, own_ring);
	return 0;
}

static void put_word(struct slot *slot, size_t word, uint64_t value)
{
	atomic_store_explicit(&slot->words[word], value, memory_order_release);
}

void rt_trace_emit(const struct rt_trace_event *event, const uint64_t *args)
{
	static const struct rt_clock host;
	const char *source = rt_trace_in_use ? rt_trace_in_use : own_source;
	struct ring *ring = own_ring;
	struct slot *slot;
	uint64_t number;

	if (!ring)
		return;
	number = atomic_load_explicit(&ring->head, memory_order_relaxed);
	slot = &ring->slots[number % RT_TRACE_RING_RECORDS];
	atomic_store_explicit(&slot->number, 0, memory_order_relaxed);
	put_word(slot, WORD_TIME, rt_clock_now_ns(&host));
	put_word(slot, WORD_EVENT, (uintptr_t)event);
	put_word(slot, WORD_SOURCE, (uintptr_t)source);
	for (size_t i = 0; i < event->arg_count; i++)
		put_word(slot, WORD_ARGS + i, args[i]);
	atomic_store_explicit(&slot->number, number + 1, memory_order_release);
	atomic_store_explicit(&ring->head, number + 1, memory_order_release);
}

/* False: the writer has come round to this slot. */
static bool copy_record(const struct slot *slot, uint64_t number,
			struct rt_trace_record *out)
{
	uint64_t words[WORDS];

	if (atomic_load_explicit(&slot->number, memory_order_acquire) != number)
		return false;
	for (size_t i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&slot->words[i],
						memory_order_acquire);
	if (atomic_load_explicit(&slot->number, memory_order_relaxed) != number)
		return false;
	out->time_ns = words[WORD_TIME];
	out->event = (const void *)(uintptr_t)words[WORD_EVENT];
	out->source = (const void *)(uintptr_t)words[WORD_SOURCE];
	memcpy(out->args, &words[WORD_ARGS], sizeof out->args);
	return true;
}

/* The cursor's next record of ring i, without moving past it. */
static bool peek(struct rt_trace_cursor *cursor, size_t i,
		 struct rt_trace_record *out)
{
	const struct ring *ring =
		atomic_load_explicit(&rings[i], memory_order_acquire);
	uint64_t *next = &cursor->next[i];
	uint64_t head;

	if (!ring)
		return false;
	head = atomic_load_explicit(&ring->head, memory_order_acquire);
	if (head - *next > RT_TRACE_RING_RECORDS) {
		cursor->lost += head - RT_TRACE_RING_RECORDS - *next;
		*next = head - RT_TRACE_RING_RECORDS;
	}
	for (; *next < head; ++*next, cursor->lost++)
		if (copy_record(&ring->slots[*next % RT_TRACE_RING_RECORDS],
				*next + 1, out))
			return true;
	return false;
}

struct reading {
	struct rt_trace_record record;
	bool is_there;
};

static size_t find_oldest(const struct reading *readings)
{
	size_t oldest = RT_TRACE_RINGS;

	for (size_t i = 0; i < RT_TRACE_RINGS; i++)
		if (readings[i].is_there &&
		    (oldest == RT_TRACE_RINGS ||
		     readings[i].record.time_ns <
			     readings[oldest].record.time_ns))
			oldest = i;
	return oldest;
}

size_t rt_trace_read(struct rt_trace_cursor *cursor,
		     struct rt_trace_record *records, size_t count)
{
	struct reading readings[RT_TRACE_RINGS];
	size_t done, i;

	for (i = 0; i < RT_TRACE_RINGS; i++)
		readings[i].is_there = peek(cursor, i, &readings[i].record);
	for (done = 0; done < count; done++) {
		i = find_oldest(readings);
		if (i == RT_TRACE_RINGS)
			break;
		records[done] = readings[i].record;
		cursor->next[i]++;
		readings[i].is_there = peek(cursor, i, &readings[i].record);
	}
	return done;
}

void rt_trace_seek_end(struct rt_trace_cursor *cursor)
{
	for (size_t i = 0; i < RT_TRACE_RINGS; i++) {
		const struct ring *ring =
			atomic_load_explicit(&rings[i], memory_order_acquire);

		cursor->next[i] =
			ring ? atomic_load_explicit(&ring->head,
						    memory_order_acquire)
			     : 0;
	}
}

static void put_number(struct rt_text *text,
		       const struct conversion *conversion, uint64_t value)
{
	char format[16], digits[96];

	snprintf(format, sizeof format, "%%%sll%c", conversion->flags,
		 conversion->letter);
	snprintf(digits, sizeof digits, format, (unsigned long long)value);
	rt_text_put(text, "%s", digits);
}

/* rt_trace_init() has seen that the format fits the arguments. */
static void put_message(struct rt_text *text,
			const struct rt_trace_record *record)
{
	struct conversion conversion;
	const char *at = record->event->format;
	size_t arg = 0;

	while (*at) {
		if (*at == '%' && arg < record->event->arg_count &&
		    parse_conversion(at, &conversion)) {
			put_number(text, &conversion, record->args[arg++]);
			at += conversion.length;
			continue;
		}
		at += at[0] == '%' && at[1] == '%';
		rt_text_put(text, "%c", *at++);
	}
}

static void put_json_string(struct rt_text *text, const char *s, size_t length)
{
	rt_text_put(text, "\"");
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			rt_text_put(text, "\\%c", c);
		else if (c < 0x20)
			rt_text_put(text, "\\u%04x", c);
		else
			rt_text_put(text, "%c", c);
	}
	rt_text_put(text, "\"");
}

static void put_json_args(struct rt_text *text,
			  const struct rt_trace_record *record)
{
	const char *name = record->event->arg_names;

	for (size_t i = 0; i < record->event->arg_count; i++) {
		size_t length;

		name += strspn(name, ", ");
		length = strcspn(name, ",");
		rt_text_put(text, i ? "," : "");
		put_json_string(text, name, length);
		rt_text_put(text, ":%llu", (unsigned long long)record->args[i]);
		name += length;
	}
}

size_t rt_trace_format_text(const struct rt_trace_record *record, char *text,
			    size_t size)
{
	struct rt_text out = { .bytes = text, .size = size };

	rt_text_put(&out, "%llu.%09llu %s %s ",
		    (unsigned long long)(record->time_ns / RT_NS_PER_S),
		    (unsigned long long)(record->time_ns % RT_NS_PER_S),
		    record->source, record->event->name);
	put_message(&out, record);
	return out.length;
}

size_t rt_trace_format_json(const struct rt_trace_record *record, char *text,
			    size_t size)
{
	struct rt_text out = { .bytes = text, .size = size };
	char words[512] = "";
	struct rt_text message = { .bytes = words, .size = sizeof words };

	put_message(&message, record);
	rt_text_put(&out, "{\"time_ns\":%llu,\"source\":",
		    (unsigned long long)record->time_ns);
	put_json_string(&out, record->source, strlen(record->source));
	rt_text_put(&out, ",\"event\":");
	put_json_string(&out, record->event->name, strlen(record->event->name));
	rt_text_put(&out, ",\"args\":{");
	put_json_args(&out, record);
	rt_text_put(&out, "},\"text\":");
	put_json_string(&out, words, strnlen(words, sizeof words));
	rt_text_put(&out, "}");
	return out.length;
}
