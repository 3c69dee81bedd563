/* SPDX-License-Identifier: BSD-3-Clause */
/* Broken rules of the specifications.  On the function's thread. */
#include "firmware/rt/rule.h"

#include <assert.h>

#include "firmware/rt/trace_rt.h"

void rt_rule_broken(struct rt_rule_book *book, size_t rule, uint64_t value)
{
	struct rt_rule_record *record;

	assert(rule < book->count);
	record = &book->records[rule];
	rt_counter_add(&record->count, 1);
	atomic_store_explicit(&record->last_value.value, value,
			      memory_order_relaxed);
	trace_rt_rule_broken((uint32_t)rule, value);
	rt_log_write(&record->log, RT_LOG_NOTICE, book->who,
		     "%s broken (%s) with value %#llx: %s",
		     book->rules[rule].name, book->rules[rule].clause,
		     (unsigned long long)value, book->rules[rule].sentence);
}
