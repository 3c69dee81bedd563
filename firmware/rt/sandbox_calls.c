/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter of system calls, and how a refused one is reported.
 *
 * Enforcing, the kernel sends SIGSYS to the thread that made the call; the
 * handler writes a record into a pipe, makes the call's result -EPERM, and the
 * thread goes on.  It calls nothing but prctl() and write().  Auditing, the
 * kernel asks a listener instead, which says that the call may go on.
 *
 * clone3() has its flags in memory, where a filter cannot read them: it is said
 * to be missing, and libc falls back to clone(), whose flags are looked at.
 *
 * What libc does by itself, in any thread:
 *
 * syscalls: read write writev close lseek fstat newfstatat mremap munmap brk
 * syscalls: mmap[2&PROT_EXEC=0] mprotect[2&PROT_EXEC=0] madvise futex exit
 * syscalls: exit_group clone[0&CLONE_THREAD=CLONE_THREAD] rseq gettid getpid
 * syscalls: set_robust_list rt_sigprocmask rt_sigaction rt_sigreturn time
 * syscalls: sched_yield tgkill[0=getpid()] restart_syscall clock_gettime uname
 * syscalls: clock_nanosleep nanosleep gettimeofday getrandom sysinfo poll ppoll
 * syscalls: sched_getaffinity prlimit64[2=0] getuid geteuid getgid getegid
 * syscalls: prctl[0=PR_SET_NAME] prctl[0=PR_GET_NAME] prctl[0=PR_SET_VMA]
 *
 * The listener:
 *
 * syscalls: ioctl[1=SECCOMP_IOCTL_NOTIF_RECV]
 * syscalls: ioctl[1=SECCOMP_IOCTL_NOTIF_SEND]
 * syscalls: ioctl[1=SECCOMP_IOCTL_NOTIF_ID_VALID]
 *
 * A sanitizer; the leak check at the end stops all threads by ptrace():
 *
 * syscalls(sanitize): sigaltstack readlink openat access getdents64 ptrace
 * syscalls(sanitize): wait4
 * syscalls(sanitize): clone[0&CLONE_UNTRACED=CLONE_UNTRACED] prctl getppid
 * syscalls(sanitize): personality getrlimit getrusage ioctl kill tkill mlock
 * syscalls(sanitize): getdents rt_sigtimedwait readlinkat open stat lstat
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "firmware/rt/sandbox.h"
#include "firmware/rt/sandbox_private.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/thread.h"

/* Written to by handlers, so it cannot be anybody's. */
static int report_fd = -1;
static _Atomic uint64_t lost;

uint64_t rt_sandbox_lost(void)
{
	return atomic_load(&lost);
}

void rt_sandbox_report(const struct rt_sandbox_refusal *refusal)
{
	if (report_fd < 0)
		return; /* before there is a filter, nobody listens */
	if (write(report_fd, refusal, sizeof *refusal) != sizeof *refusal)
		atomic_fetch_add(&lost, 1);
}

/* ---- Enforcing ---- */

#if defined(__x86_64__)
static void take_call(ucontext_t *context, struct rt_sandbox_refusal *out)
{
	static const int registers[] = { REG_RDI, REG_RSI, REG_RDX,
					 REG_R10, REG_R8,  REG_R9 };

	for (size_t i = 0; i < RT_COUNT(registers); i++)
		out->arguments[i] =
			(uint64_t)context->uc_mcontext.gregs[registers[i]];
	out->address = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
	context->uc_mcontext.gregs[REG_RAX] = -EPERM;
}
#elif defined(__aarch64__)
static void take_call(ucontext_t *context, struct rt_sandbox_refusal *out)
{
	for (size_t i = 0; i < RT_COUNT(out->arguments); i++)
		out->arguments[i] = context->uc_mcontext.regs[i];
	out->address = context->uc_mcontext.pc;
	context->uc_mcontext.regs[0] = (uint64_t)-EPERM;
}
#else
#error "where are the registers of a system call?"
#endif

void rt_sandbox_call_refused(const siginfo_t *info, void *context)
{
	struct rt_sandbox_refusal refusal = { .number = info->si_syscall };

	refusal.thread = (int32_t)syscall(SYS_gettid);
	take_call(context, &refusal);
	prctl(PR_GET_NAME, refusal.name); /* declared: it must not be refused */
	rt_sandbox_report(&refusal);
}

/* ---- Auditing ---- */

struct audit {
	int fd;
	struct seccomp_notif *question;
	struct seccomp_notif_resp *answer;
};

/* Read by the one who asks, so it is a name of the moment. */
static void find_name(int32_t thread, char *name, size_t size)
{
	char path[48];
	ssize_t n;
	RT_FD int fd = -1;

	snprintf(path, sizeof path, "/proc/self/task/%d/comm", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, name, size - 1);
	name[n > 0 ? n - 1 : 0] = '\0';
}

static void let_pass(const struct audit *asked)
{
	const struct seccomp_notif *q = asked->question;
	struct rt_sandbox_refusal refusal = {
		.number = q->data.nr,
		.thread = (int32_t)q->pid,
		.address = q->data.instruction_pointer,
	};

	memcpy(refusal.arguments, q->data.args, sizeof refusal.arguments);
	find_name(refusal.thread, refusal.name, sizeof refusal.name);
	rt_sandbox_report(&refusal);
	memset(asked->answer, 0, sizeof *asked->answer);
	asked->answer->id = q->id;
	asked->answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	seccomp_notify_respond(asked->fd, asked->answer);
}

/* Nothing that it does itself is asked about: it would wait for itself. */
static void *listen_to_kernel(void *opaque)
{
	const struct audit *asked = opaque;

	pthread_setname_np(pthread_self(), "sandbox");
	for (;;) {
		memset(asked->question, 0, sizeof *asked->question);
		if (!seccomp_notify_receive(asked->fd, asked->question))
			let_pass(asked);
		else if (errno != EINTR && errno != ENOENT)
			return NULL;
	}
}

/* For the listener's life; made before, as it asks the kernel for sizes. */
static struct audit audit;

static int start_listener(int fd)
{
	pthread_t thread;
	int code;

	audit.fd = fd;
	code = rt_thread_start(&thread, listen_to_kernel, &audit);
	if (!code)
		pthread_detach(thread);
	return code;
}

/* ---- The filter ---- */

static int allow(scmp_filter_ctx filter, const struct rt_sandbox_call *call)
{
	struct scmp_arg_cmp tests[RT_SANDBOX_CONDITIONS];

	for (unsigned int i = 0; i < call->count; i++)
		tests[i] = SCMP_CMP64(
			call->conditions[i].argument, SCMP_CMP_MASKED_EQ,
			call->conditions[i].mask, call->conditions[i].value);
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call->number,
				      call->count, tests);
}

static int fill(scmp_filter_ctx filter, const struct rt_sandbox_calls *calls)
{
	int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
				    SCMP_SYS(clone3), 0);

	seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
			 SCMP_ACT_KILL_PROCESS);
	for (size_t i = 0; i < calls->count && !code; i++)
		code = allow(filter, &calls->table[i]);
	return code;
}

static int make_pipe(int *out_fd)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	report_fd = ends[1];
	*out_fd = ends[0];
	return 0;
}

int rt_sandbox_calls_enforce(const struct rt_sandbox_calls *calls,
			     enum rt_sandbox_mode mode, int *out_fd)
{
	bool asks = mode == RT_SANDBOX_AUDIT;
	scmp_filter_ctx filter =
		seccomp_init(asks ? SCMP_ACT_NOTIFY : SCMP_ACT_TRAP);
	int code = filter ? fill(filter, calls) : -ENOMEM;

	if (!code)
		code = make_pipe(out_fd);
	if (!code && asks)
		code = seccomp_notify_alloc(&audit.question, &audit.answer);
	if (!code)
		code = seccomp_load(filter);
	if (!code && asks)
		code = start_listener(seccomp_notify_fd(filter));
	/* Releasing it would close the descriptor that the kernel asks at. */
	if (filter && !asks)
		seccomp_release(filter);
	return code;
}

const char *rt_sandbox_call_name(int number, char *text, size_t size)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

	if (name)
		snprintf(text, size, "%s", name);
	else
		snprintf(text, size, "call %d", number);
	free(name);
	return text;
}
