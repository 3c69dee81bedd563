/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A life of a NIC's data path among a driver, a client, an operator and a
 * network without sense; what they do is read from bytes.  In the end it must
 * be as good as new, or the process aborts.
 */
#ifndef TESTS_FUZZ_ENA_PATH_LIFE_H
#define TESTS_FUZZ_ENA_PATH_LIFE_H

#include <stddef.h>
#include <stdint.h>

void ena_path_life(const uint8_t *data, size_t size);

#endif
