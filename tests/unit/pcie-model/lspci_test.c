/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our configuration space read by others: libpci and lspci.  (Links libpci,
 * which is GPL: so is this program as a whole.)
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/scan.h"
#include "pcie-model/aer.h"
#include "tests/unit/pcie-model/fake_function.h"

static uint8_t config[4096];

static void read_all(struct pcie_function *fn)
{
	pcie_region_read(fn, PCIE_CONFIG_REGION, 0, config, sizeof config);
}

/* As a guest leaves it that uses the function. */
static void use(struct pcie_function *fn)
{
	config_write(fn, PCI_COMMAND, 2, 0x0406);
	config_write(fn, PCI_INTERRUPT_LINE, 1, 11);
	config_write(fn, PCI_BASE_ADDRESS_0, 4, 0xfebf0000);
	config_write(fn, PCI_BASE_ADDRESS_2, 4, 0x00100000);
	config_write(fn, PCI_BASE_ADDRESS_3, 4, 0x00000038);
	config_write(fn, fn->config_layout.msix + PCI_MSIX_FLAGS, 2, 0x8000);
}

static struct pcie_identity ebs_identity(void)
{
	return (struct pcie_identity){
		.vendor = 0x1d0f,
		.device = 0x8061,
		.subsystem_vendor = 0x1d0f,
		.class_code = 0x010802,
		.has_intx = true,
		.msix_vectors = 3,
		.msix_bar = 0,
		.msix_table_offset = 0x2000,
		.msix_pba_offset = 0x3000,
		.bars = { [0] = { .size = 0x4000 } },
	};
}

Test(pcie_lspci, libpci_finds_every_capability)
{
	static const struct host_capability expected[] = {
		{ PCI_CAP_ID_PM, 0x40, false },
		{ PCI_CAP_ID_MSI, 0x50, false },
		{ PCI_CAP_ID_EXP, 0x70, false },
		{ PCI_CAP_ID_MSIX, 0xb0, false },
		{ PCI_EXT_CAP_ID_ERR, 0x100, true },
		{ PCI_EXT_CAP_ID_DSN, 0x150, true },
	};
	struct pcie_function *fn = fake_create(NULL);
	struct host_scan scan;
	struct rt_error error;

	read_all(fn);
	cr_assert(host_scan_config(config, sizeof config, &scan, &error) == 0);
	cr_assert(scan.capability_count == RT_COUNT(expected));
	for (size_t i = 0; i < RT_COUNT(expected); i++) {
		const struct host_capability *c = NULL;

		/* libpci lists the newest first; the order is not the point. */
		for (size_t j = 0; j < scan.capability_count; j++)
			if (scan.capabilities[j].offset == expected[i].offset)
				c = &scan.capabilities[j];
		cr_assert_not_null(c, "nothing at %#x", expected[i].offset);
		cr_expect(c->id == expected[i].id);
		cr_expect(c->is_extended == expected[i].is_extended);
	}
	fake_destroy(fn);
}

Test(pcie_lspci, libpci_reads_the_identity_and_knows_its_name)
{
	struct pcie_identity id = ebs_identity();
	struct pcie_function *fn = fake_create(&id);
	struct host_scan scan;
	struct rt_error error;

	read_all(fn);
	cr_assert(host_scan_config(config, sizeof config, &scan, &error) == 0);
	cr_expect(scan.vendor == 0x1d0f && scan.device == 0x8061);
	cr_expect(scan.subsystem_vendor == 0x1d0f && scan.subsystem == 0);
	cr_expect(scan.class_code == 0x0108);
	cr_expect(scan.programming_interface == 2 && scan.revision == 0);
	cr_expect_str_eq(scan.device_name, "NVMe EBS Controller");
	cr_expect_str_eq(scan.class_name, "Non-Volatile memory controller");
	cr_expect(scan.capability_count == 2);
	fake_destroy(fn);
}

Test(pcie_lspci, a_space_of_the_wrong_size_is_refused)
{
	struct host_scan scan;
	struct rt_error error = { 0 };

	cr_expect(host_scan_config(config, 100, &scan, &error) == -EINVAL);
	cr_expect(error.text[0]);
}

Test(pcie_lspci, garbage_is_no_reason_to_exit)
{
	struct host_scan scan;
	struct rt_error error;

	srand(1);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof config; i++)
			config[i] = (uint8_t)rand();
		host_scan_config(config, sizeof config, &scan, &error);
	}
	cr_expect(true);
}

Test(pcie_lspci, a_dump_that_does_not_fit_says_its_length)
{
	char text[100];
	char whole[HOST_SCAN_DUMP_BYTES];
	size_t length = host_scan_dump(config, 4096, whole, sizeof whole);

	cr_expect(length < sizeof whole);
	cr_expect(strlen(whole) == length);
	cr_expect(host_scan_dump(config, 4096, text, sizeof text) == length);
	cr_expect(strlen(text) == sizeof text - 1);
}

/* What `lspci -n -vvv` says about config. */
static void run_lspci(char *text, size_t room)
{
	char dump[HOST_SCAN_DUMP_BYTES], path[] = "/tmp/lspci-test-XXXXXX";
	size_t length = host_scan_dump(config, 4096, dump, sizeof dump);
	int fd = mkstemp(path);
	char command[256];
	FILE *pipe;

	cr_assert(fd >= 0 && write(fd, dump, length) == (ssize_t)length);
	close(fd);
	snprintf(command, sizeof command,
		 "PATH=$PATH:/usr/bin:/sbin:/usr/sbin lspci -n -vvv -F %s "
		 "2>/dev/null",
		 path);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	text[fread(text, 1, room - 1, pipe)] = '\0';
	cr_expect(pclose(pipe) == 0);
	unlink(path);
}

static void expect_lines(const char *const *lines, size_t count)
{
	static char text[65536];

	run_lspci(text, sizeof text);
	for (size_t i = 0; i < count; i++)
		cr_expect_not_null(strstr(text, lines[i]),
				   "lspci does not say: %s", lines[i]);
	cr_expect_null(strstr(text, "Unknown"), "%s", text);
	cr_expect_null(strstr(text, "chain looping"), "%s", text);
}

Test(pcie_lspci, a_function_with_everything_reads_as_meant)
{
	static const char *const lines[] = {
		"0108: 1d0f:8061 (rev 07) (prog-if 02 [NVM Express])\n",
		"Subsystem: 1d0f:1234\n",
		"Control: I/O- Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- "
		"ParErr- Stepping- SERR- FastB2B- DisINTx+\n",
		"Status: Cap+ 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast "
		">TAbort- "
		"<TAbort- <MAbort- >SERR- <PERR- INTx-\n",
		"Interrupt: pin A routed to IRQ 11\n",
		"Region 0: Memory at febf0000 (32-bit, non-prefetchable)",
		"Region 2: Memory at 3800100000 (64-bit, prefetchable)",
		"[40] Power Management version 3\n",
		"PME(D0+,D1+,D2+,D3hot+,D3cold+)\n",
		"Status: D0 NoSoftRst- PME-Enable-",
		"[50] MSI: Enable- Count=1/8 Maskable+ 64bit+\n",
		"[70] Express (v2) Endpoint,",
		"DevCap:\tMaxPayload 256 bytes, PhantFunc 0, Latency L0s "
		"<64ns, "
		"L1 <1us\n",
		"ExtTag+ AttnBtn- AttnInd- PwrInd- RBE+ FLReset+ ",
		"RlxdOrd+ ExtTag- PhantFunc- AuxPwr- NoSnoop+ FLReset-\n",
		"MaxPayload 128 bytes, MaxReadReq 512 bytes\n",
		"DevSta:\tCorrErr- NonFatalErr- FatalErr- UnsupReq- AuxPwr- "
		"TransPend-\n",
		"LnkCap:\tPort #0, Speed 8GT/s, Width x4, ASPM not supported\n",
		"LnkSta:\tSpeed 8GT/s, Width x4\n",
		"EqualizationComplete+ EqualizationPhase1+\n",
		"[b0] MSI-X: Enable+ Count=70 Masked-\n",
		"Vector table: BAR=0 offset=00002000\n",
		"PBA: BAR=0 offset=00003000\n",
		"[100 v2] Advanced Error Reporting\n",
		"UESta:\tDLP- SDES- TLP- FCP- CmpltTO- CmpltAbrt- UnxCmplt- "
		"RxOF- MalfTLP+ ",
		"UESvrt:\tDLP+ SDES+ TLP- FCP+ CmpltTO- CmpltAbrt- UnxCmplt- "
		"RxOF+ MalfTLP+ ",
		"CEMsk:\tRxErr- BadTLP- BadDLLP- Rollover- Timeout- "
		"AdvNonFatalErr+\n",
		"AERCap:\tFirst Error Pointer: 12, ECRCGenCap- ",
		"HeaderLog: 40000001 0000000f febf0010 00000000\n",
		"[150 v1] Device Serial Number 01-23-45-67-89-ab-cd-ef\n",
	};
	static const uint32_t header[4] = { 0x40000001, 0xf, 0xfebf0010, 0 };
	struct pcie_function *fn = fake_create(NULL);

	use(fn);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_MALF_TLP, header);
	config_write(fn, fn->config_layout.express + PCI_EXP_DEVSTA, 2, 0xf);
	read_all(fn);
	expect_lines(lines, RT_COUNT(lines));
	fake_destroy(fn);
}

Test(pcie_lspci, an_ebs_volume_reads_as_in_ec2)
{
	static const char *const lines[] = {
		"0108: 1d0f:8061 (prog-if 02 [NVM Express])\n",
		"Subsystem: 1d0f:0000\n",
		"Region 0: Memory at febf0000 (32-bit, non-prefetchable)",
		"[40] Express (v2) Endpoint,",
		"LnkCap:\tPort #0, Speed unknown, Width x0",
		"[80] MSI-X: Enable+ Count=3 Masked-\n",
	};
	struct pcie_identity id = ebs_identity();
	struct pcie_function *fn = fake_create(&id);
	static char text[65536];

	use(fn);
	read_all(fn);
	expect_lines(lines, RT_COUNT(lines));
	run_lspci(text, sizeof text);
	cr_expect_null(strstr(text, "Power Management"));
	cr_expect_null(strstr(text, "MSI:"));
	cr_expect_null(strstr(text, "Advanced Error"));
	fake_destroy(fn);
}
