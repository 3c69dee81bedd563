/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "tests/unit/pcie-model/fake_function.h"

struct pcie_identity fake_identity(void)
{
	return (struct pcie_identity){
		.vendor = 0x1d0f,
		.device = 0x8061,
		.subsystem_vendor = 0x1d0f,
		.subsystem = 0x1234,
		.class_code = 0x010802,
		.revision = 7,
		.has_intx = true,
		.has_pm = true,
		.has_aer = true,
		.serial = 0x0123456789abcdef,
		.msi_vectors = 8,
		.msix_vectors = 70,
		.msix_bar = 0,
		.msix_table_offset = 0x2000,
		.msix_pba_offset = 0x3000,
		.link_speed = 3,
		.link_width = 4,
		.bars = { [0] = { .size = 0x4000,
				  .mapped_offset = 0x1000,
				  .mapped_size = 0x1000 },
			  [2] = { .size = 0x100000,
				  .is_64bit = true,
				  .is_prefetchable = true } },
	};
}

struct fake *fake_of(const struct pcie_function *fn)
{
	return fn->device;
}

static int fake_type_create(struct pcie_function *fn, const void *config,
			    struct rt_error *error)
{
	(void)error;
	fn->identity = *(const struct pcie_identity *)config;
	fn->device = calloc(1, sizeof(struct fake));
	return 0;
}

static void fake_type_destroy(struct pcie_function *fn)
{
	free(fn->device);
}

static uint64_t fake_bar_read(struct pcie_function *fn, unsigned int bar,
			      uint64_t offset, unsigned int size)
{
	fake_of(fn)->read_count++;
	/* Each byte is its offset, with the BAR in the upper half. */
	uint64_t value = 0;

	for (unsigned int i = 0; i < size; i++)
		value |= ((offset + i) & 0xf) << (8 * i) |
			 (uint64_t)bar << (8 * i + 4);
	return value;
}

static void fake_bar_write(struct pcie_function *fn, unsigned int bar,
			   uint64_t offset, unsigned int size, uint64_t value)
{
	struct fake *fake = fake_of(fn);

	if (fake->write_count < RT_COUNT(fake->writes))
		fake->writes[fake->write_count++] =
			(struct fake_access){ bar, size, offset, value };
}

static void fake_quiesce(struct pcie_function *fn)
{
	fake_of(fn)->quiesces++;
	if (!fake_of(fn)->holds_quiesce)
		pcie_function_quiesced(fn);
}

static void fake_reset(struct pcie_function *fn, enum pcie_reset_reason why)
{
	fake_of(fn)->resets++;
	fake_of(fn)->last_reason = why;
}

static int fake_resume(struct pcie_function *fn)
{
	fake_of(fn)->resumes++;
	return fake_of(fn)->resume_result;
}

static void fake_mode_changed(struct pcie_function *fn)
{
	fake_of(fn)->mode_changes++;
}

const struct pcie_function_type fake_type = {
	.name = "fake",
	.summary = "notes what it is told",
	.state_size = sizeof(struct fake_state),
	.create = fake_type_create,
	.destroy = fake_type_destroy,
	.bar_read = fake_bar_read,
	.bar_write = fake_bar_write,
	.quiesce = fake_quiesce,
	.reset = fake_reset,
	.resume = fake_resume,
	.interrupt_mode_changed = fake_mode_changed,
};

struct pcie_function *fake_create_on(const struct pcie_identity *identity,
				     struct rt_loop *loop)
{
	struct pcie_identity usual = fake_identity();
	struct pcie_function *fn = NULL;
	struct rt_error error;

	if (pcie_function_create(&fake_type, "fake0", loop,
				 identity ? identity : &usual, &fn, &error))
		abort();
	return fn;
}

struct pcie_function *fake_create(const struct pcie_identity *identity)
{
	return fake_create_on(identity, NULL);
}

void fake_destroy(struct pcie_function *fn)
{
	pcie_function_destroy(&fn);
}

uint32_t config_read(struct pcie_function *fn, unsigned int offset,
		     unsigned int size)
{
	uint8_t bytes[4];

	pcie_region_read(fn, PCIE_CONFIG_REGION, offset, bytes, size);
	return (uint32_t)le_load(bytes, size);
}

void config_write(struct pcie_function *fn, unsigned int offset,
		  unsigned int size, uint32_t value)
{
	uint8_t bytes[4];

	le_store(bytes, size, value);
	pcie_region_write(fn, PCIE_CONFIG_REGION, offset, bytes, size);
}
