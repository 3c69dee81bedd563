/* SPDX-License-Identifier: BSD-3-Clause */
/* Ones' complement sums, beside those that everybody may use (ena/frame.h). */
#ifndef ENA_SUM_H
#define ENA_SUM_H

#include <stddef.h>
#include <stdint.h>

/* As ena_sum(), of bytes that are copied on the way. */
uint32_t ena_sum_copy(void *to, const void *bytes, size_t size, uint32_t sum);

/* The sum of bytes that began at an odd place; folded. */
uint32_t ena_sum_swap(uint32_t sum);

#endif
