/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long to leave memory alone that others write without a word: see struct
 * rt_poller.  Whoever waits for mapped doorbells looks without a pause for
 * RT_REST_SPIN_NS after the last of them, and then rests, the longer the longer
 * nothing came.
 */
#ifndef FIRMWARE_RT_REST_H
#define FIRMWARE_RT_REST_H

#include <stdint.h>

/* Not longer: guests may need the processor. */
#define RT_REST_SPIN_NS UINT64_C(40000)

/*
 * The rest from now_ns on, when nothing came for idle_ns: a quarter of that
 * time, but no more than 8.4 ms in the first second, then 1/128 of it, 134 ms
 * at most; 33 us at least.  Rests are powers of two and end at multiples of
 * them, so that all that is idle on a thread is looked at in one waking.
 */
uint64_t rt_rest_ns(uint64_t now_ns, uint64_t idle_ns);

#endif
