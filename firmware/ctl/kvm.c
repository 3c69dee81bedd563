/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is KVM good for an ordinary guest?  /dev/kvm alone does not say so: on a host
 * without hardware virtualisation some kernels offer a KVM that emulates the
 * privileged code of guests, and gives up at the first floating-point or vector
 * instruction in it.  So a guest of three pages is run: in 64-bit mode, as a
 * kernel would, it does what such a KVM cannot, and tells by a port.
 *
 * In a process of its own, which an alarm ends should the guest hang.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/ctl/qemu.h"
#include "firmware/rt/scope.h"

#define PROBE_SECONDS 2
#define PAGE          4096u
#define MEMORY        (4 * PAGE) /* code, then three levels of page tables */
#define PORT          0x10
#define ANSWER        0x2a

static const unsigned char code[] = {
	0x9b, 0xdb,   0xe3,             /* finit */
	0xb9, 0x04,   0x00, 0x00, 0x00, /* mov ecx, 4 */
	0x0f, 0x57,   0xc0,             /* xorps xmm0, xmm0 */
	0x66, 0x0f,   0xef, 0xc0,       /* pxor xmm0, xmm0 */
	0xb0, ANSWER,                   /* mov al, ANSWER */
	0xe6, PORT,                     /* out PORT, al */
	0xf4,                           /* hlt */
};

/* One entry a level: the first 2 MiB, identity-mapped by one large page. */
static void fill_memory(unsigned char *memory)
{
	const uint64_t tables[3] = { 2 * PAGE | 3, 3 * PAGE | 3, 0x83 };

	memcpy(memory, code, sizeof code);
	for (size_t i = 0; i < RT_COUNT(tables); i++)
		memcpy(memory + (i + 1) * PAGE, &tables[i], sizeof tables[i]);
}

static void set_long_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment flat = {
		.limit = UINT32_MAX, .present = 1, .s = 1, .g = 1
	};

	sregs->cr3 = PAGE;
	sregs->cr4 = 1u << 5 | 1u << 9;                /* PAE, OSFXSR */
	sregs->cr0 = 1u << 31 | 1u << 1 | 1u << 4 | 1; /* PG, MP, ET, PE */
	sregs->efer = 1u << 8 | 1u << 10;              /* LME, LMA */
	flat.type = 3;
	flat.db = 1;
	flat.selector = 0x10;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat;
	flat.type = 11;
	flat.db = 0;
	flat.l = 1;
	flat.selector = 0x08;
	sregs->cs = flat;
}

static int make_processor(int vm, unsigned char *memory)
{
	const struct kvm_userspace_memory_region region = {
		.memory_size = MEMORY,
		.userspace_addr = (uintptr_t)memory,
	};
	const struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	int vcpu;

	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		return -1;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	set_long_mode(&sregs);
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu, KVM_SET_REGS, &regs))
		return -1;
	return vcpu;
}

static bool is_answer(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_IO &&
	       run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PORT &&
	       *((const unsigned char *)run + run->io.data_offset) == ANSWER;
}

/* The kernel takes everything back when this process ends. */
static bool run_guest(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	int size = vm < 0 ? -1 : ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	unsigned char *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct kvm_run *run;
	int vcpu;

	if (size < (int)sizeof *run || memory == MAP_FAILED)
		return false;
	fill_memory(memory);
	vcpu = make_processor(vm, memory);
	if (vcpu < 0)
		return false;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
		   0);
	return run != MAP_FAILED && !ioctl(vcpu, KVM_RUN, 0) && is_answer(run);
}

bool ctl_kvm_works(void)
{
	int status = 1;
	pid_t child = fork();

	if (!child) {
		alarm(PROBE_SECONDS);
		_exit(run_guest() ? 0 : 1);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}
