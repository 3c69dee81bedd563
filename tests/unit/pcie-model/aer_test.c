/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <linux/pci_regs.h>

#include "firmware/rt/scope.h"
#include "pcie-model/aer.h"
#include "tests/unit/pcie-model/fake_function.h"

static struct pcie_function *fn;

static void start(void)
{
	fn = fake_create(NULL);
}

static void stop(void)
{
	fake_destroy(fn);
}

TestSuite(pcie_aer, .init = start, .fini = stop);

static uint32_t get(unsigned int reg)
{
	return config_read(fn, fn->config_layout.aer + reg, 4);
}

static void put(unsigned int reg, uint32_t value)
{
	config_write(fn, fn->config_layout.aer + reg, 4, value);
}

static uint32_t device_status(void)
{
	return config_read(fn, fn->config_layout.express + PCI_EXP_DEVSTA, 2);
}

static const uint32_t read_request[4] = { 0x00000001, 0x0000000f, 0xfebf0010,
					  0 };
static const uint32_t write_request[4] = { 0x40000001, 0x0000000f, 0xfebf0010,
					   0 };

Test(pcie_aer, correctable_errors_are_noted_also_when_masked)
{
	put(PCI_ERR_COR_MASK, PCI_ERR_COR_BAD_TLP);
	pcie_aer_correctable(fn, PCI_ERR_COR_BAD_TLP);
	cr_expect(get(PCI_ERR_COR_STATUS) == PCI_ERR_COR_BAD_TLP);
	cr_expect(device_status() == PCI_EXP_DEVSTA_CED);
	put(PCI_ERR_COR_STATUS, PCI_ERR_COR_BAD_TLP);
	cr_expect(get(PCI_ERR_COR_STATUS) == 0);
}

Test(pcie_aer, the_first_unmasked_error_owns_the_header_log)
{
	put(PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_DLP);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_DLP, NULL);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_MALF_TLP, write_request);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_RX_OVER, read_request);
	cr_expect(
		get(PCI_ERR_UNCOR_STATUS) ==
		(PCI_ERR_UNC_DLP | PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_RX_OVER));
	cr_expect(PCI_ERR_CAP_FEP(get(PCI_ERR_CAP)) == 18);
	cr_expect(get(PCI_ERR_HEADER_LOG) == write_request[0]);
	cr_expect(get(PCI_ERR_HEADER_LOG + 8) == write_request[2]);
	cr_expect(device_status() == PCI_EXP_DEVSTA_FED);
	/* Cleared, the next one takes it. */
	put(PCI_ERR_UNCOR_STATUS, PCI_ERR_UNC_MALF_TLP);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_RX_OVER, read_request);
	cr_expect(PCI_ERR_CAP_FEP(get(PCI_ERR_CAP)) == 17);
	cr_expect(get(PCI_ERR_HEADER_LOG) == read_request[0]);
}

Test(pcie_aer, an_unsupported_read_is_only_advisory)
{
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_UNSUP, read_request);
	cr_expect(device_status() == (PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_URD));
	cr_expect(get(PCI_ERR_COR_STATUS) == PCI_ERR_COR_ADV_NFAT);
	cr_expect(get(PCI_ERR_UNCOR_STATUS) == 0, "advisory is masked");
	put(PCI_ERR_COR_MASK, 0);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_UNSUP, read_request);
	cr_expect(get(PCI_ERR_UNCOR_STATUS) == PCI_ERR_UNC_UNSUP);
	cr_expect(get(PCI_ERR_HEADER_LOG + 8) == read_request[2]);
}

Test(pcie_aer, an_unsupported_write_is_non_fatal)
{
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_UNSUP, write_request);
	cr_expect(device_status() ==
		  (PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_URD));
	cr_expect(get(PCI_ERR_UNCOR_STATUS) == PCI_ERR_UNC_UNSUP);
	cr_expect(!(config_read(fn, PCI_STATUS, 2) &
		    PCI_STATUS_SIG_SYSTEM_ERROR));
}

Test(pcie_aer, severity_decides_what_is_fatal)
{
	put(PCI_ERR_UNCOR_SEVER, PCI_ERR_UNC_UNSUP);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_UNSUP, read_request);
	cr_expect(device_status() == (PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD));
}

Test(pcie_aer, a_system_error_is_signalled_when_enabled)
{
	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_SERR);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_MALF_TLP, NULL);
	cr_expect(config_read(fn, PCI_STATUS, 2) & PCI_STATUS_SIG_SYSTEM_ERROR);
}

Test(pcie_aer, a_masked_error_signals_nothing)
{
	config_write(fn, PCI_COMMAND, 2, PCI_COMMAND_SERR);
	put(PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_MALF_TLP);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_MALF_TLP, NULL);
	cr_expect(!(config_read(fn, PCI_STATUS, 2) &
		    PCI_STATUS_SIG_SYSTEM_ERROR));
	cr_expect(get(PCI_ERR_UNCOR_STATUS) == PCI_ERR_UNC_MALF_TLP);
}

Test(pcie_aer, logs_survive_an_flr_and_not_a_bus_reset)
{
	put(PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_COMP_TIME);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_MALF_TLP, write_request);
	pcie_function_reset(fn, PCIE_RESET_FLR, NULL, NULL);
	cr_expect(get(PCI_ERR_UNCOR_STATUS) == PCI_ERR_UNC_MALF_TLP);
	cr_expect(get(PCI_ERR_UNCOR_MASK) == PCI_ERR_UNC_COMP_TIME);
	cr_expect(PCI_ERR_CAP_FEP(get(PCI_ERR_CAP)) == 18);
	cr_expect(get(PCI_ERR_HEADER_LOG) == write_request[0]);
	cr_expect(device_status() == 0, "Device Status is not sticky");
	pcie_function_reset(fn, PCIE_RESET_BUS, NULL, NULL);
	cr_expect(get(PCI_ERR_UNCOR_STATUS) == 0);
	cr_expect(get(PCI_ERR_HEADER_LOG) == 0);
}

Test(pcie_aer, a_function_without_it_has_device_status)
{
	struct pcie_identity id = fake_identity();
	struct pcie_function *plain;
	unsigned int at;

	id.has_aer = false;
	plain = fake_create(&id);
	at = plain->config_layout.express + PCI_EXP_DEVSTA;
	pcie_aer_uncorrectable(plain, PCI_ERR_UNC_MALF_TLP, NULL);
	pcie_aer_correctable(plain, PCI_ERR_COR_RCVR);
	cr_expect(config_read(plain, at, 2) ==
		  (PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_CED));
	fake_destroy(plain);
}
