/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is given away is gone, what is kept works, and refusals are told of.
 * Each promise is tried in a process of its own, which ends by _exit(): of what
 * a child gave away, the test's framework needs most.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/sandbox.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/thread.h"

#define SKIPPED 77

/* In a child: the first promise that is broken ends it, with its line. */
#define HOLDS(promise)                                                         \
	do {                                                                   \
		if (!(promise))                                                \
			broken(#promise, __LINE__);                            \
	} while (0)

static void broken(const char *promise, int line)
{
	char text[256];
	int size = snprintf(text, sizeof text, "line %d: %s (errno %d)\n", line,
			    promise, errno);

	(void)!write(STDERR_FILENO, text, (size_t)size);
	_exit(1);
}

static void in_a_child(void (*run)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		run();
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		cr_skip("this kernel cannot");
	cr_expect(WIFEXITED(status) && !WEXITSTATUS(status),
		  "ended with status %#x", status);
}

/* ---- Files ---- */

static char folder[64];

static const char *in_folder(const char *name)
{
	static _Thread_local char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static bool opens(const char *name, int flags)
{
	int fd = open(in_folder(name), flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void make_folder(void)
{
	static const char *const names[] = { "read", "update", "other",
					     "kept" };

	snprintf(folder, sizeof folder, "/tmp/rt-sandbox-XXXXXX");
	cr_assert(mkdtemp(folder));
	for (size_t i = 0; i < RT_COUNT(names); i++)
		cr_assert(opens(names[i], O_WRONLY | O_CREAT));
	cr_assert_eq(mkdir(in_folder("keys"), 0700), 0);
}

static void remove_folder(void)
{
	static const char *const names[] = { "read",     "update",   "other",
					     "kept",     "created",  "keys/new",
					     "keys/old", "made/file" };

	for (size_t i = 0; i < RT_COUNT(names); i++)
		unlink(in_folder(names[i]));
	rmdir(in_folder("keys"));
	rmdir(in_folder("made"));
	cr_expect_eq(rmdir(folder), 0);
}

static void allow(const struct rt_sandbox_files *files, const char *name,
		  enum rt_sandbox_use use)
{
	rt_sandbox_files_allow(files, in_folder(name), use);
}

static void restrict_files(void)
{
	struct rt_sandbox_files files;
	int code = rt_sandbox_files_begin(&files);

	if (code == -ENOSYS || code == -EOPNOTSUPP)
		_exit(SKIPPED);
	HOLDS(!code);
	HOLDS(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	allow(&files, "read", RT_SANDBOX_READ);
	allow(&files, "update", RT_SANDBOX_UPDATE);
	allow(&files, "created", RT_SANDBOX_CREATE);
	allow(&files, "kept", RT_SANDBOX_KEEP);
	allow(&files, "keys/new", RT_SANDBOX_KEEP);
	allow(&files, "made", RT_SANDBOX_FOLDER);
	allow(&files, "missing", RT_SANDBOX_UPDATE);
	HOLDS(!rt_sandbox_files_enforce(&files));
	HOLDS(files.version > 0 && files.rules < 0);
}

static void reach_files(void)
{
	restrict_files();
	HOLDS(opens("read", O_RDONLY));
	HOLDS(!opens("read", O_RDWR) && errno == EACCES);
	HOLDS(opens("update", O_RDWR));
	HOLDS(opens("created", O_WRONLY));
	HOLDS(!opens("other", O_RDONLY) && errno == EACCES);
	HOLDS(!opens("missing", O_RDWR | O_CREAT) && errno == EACCES);
	HOLDS(open("/etc/hostname", O_RDONLY | O_CLOEXEC) < 0 &&
	      errno == EACCES);
	HOLDS(opens("made/file", O_RDWR | O_CREAT));
	HOLDS(!unlink(in_folder("made/file")));
	HOLDS(unlink(in_folder("read")) && errno == EACCES);
}

Test(rt_sandbox, a_file_is_reached_as_far_as_it_was_allowed,
     .init = make_folder, .fini = remove_folder)
{
	in_a_child(reach_files);
}

/* As security-chip/keys.c makes one. */
static void keep_files(void)
{
	char aside[128];

	restrict_files();
	HOLDS(opens("kept", O_RDONLY));
	HOLDS(!opens("kept", O_WRONLY) && errno == EACCES);
	HOLDS(opens("keys/old", O_WRONLY | O_CREAT | O_EXCL));
	snprintf(aside, sizeof aside, "%s", in_folder("keys/old"));
	HOLDS(!link(aside, in_folder("keys/new")));
	HOLDS(!unlink(aside));
	HOLDS(opens("keys/new", O_RDONLY));
}

Test(rt_sandbox, a_file_to_keep_is_read_or_made, .init = make_folder,
     .fini = remove_folder)
{
	in_a_child(keep_files);
}

/* ---- System calls ---- */

static struct rt_sandbox_call table[96];
static size_t table_size;

static void allow_call(int number)
{
	table[table_size++] = (struct rt_sandbox_call){ .number = number };
}

static void restrict_calls(enum rt_sandbox_mode mode, int *out_fd)
{
	/* A sanitizer's and a thread's, and what HOLDS() takes. */
	static const int plain[] = {
		SCMP_SYS(read),           SCMP_SYS(write),
		SCMP_SYS(close),          SCMP_SYS(exit),
		SCMP_SYS(exit_group),     SCMP_SYS(futex),
		SCMP_SYS(rt_sigreturn),   SCMP_SYS(rt_sigaction),
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(gettid),
		SCMP_SYS(getpid),         SCMP_SYS(mmap),
		SCMP_SYS(munmap),         SCMP_SYS(madvise),
		SCMP_SYS(mprotect),       SCMP_SYS(clone),
		SCMP_SYS(rseq),           SCMP_SYS(set_robust_list),
		SCMP_SYS(sigaltstack),    SCMP_SYS(prctl),
		SCMP_SYS(sched_yield),    SCMP_SYS(ioctl),
		SCMP_SYS(openat),         SCMP_SYS(sched_getaffinity),
		SCMP_SYS(readlink),       SCMP_SYS(prlimit64),
	};
	struct rt_sandbox_calls calls = { .table = table };

	for (size_t i = 0; i < RT_COUNT(plain); i++)
		allow_call(plain[i]);
	table[table_size++] = (struct rt_sandbox_call){
		.number = SCMP_SYS(socketpair),
		.count = 2,
		.conditions = { { 0, UINT64_MAX, AF_UNIX },
				{ 1, 0xf, SOCK_STREAM } },
	};
	calls.count = table_size;
	HOLDS(!rt_sandbox_catch());
	HOLDS(!rt_sandbox_keep_secrets());
	if (rt_sandbox_calls_enforce(&calls, mode, out_fd))
		_exit(SKIPPED);
}

static void refuse_a_call(void)
{
	struct rt_sandbox_refusal refusal = { 0 };
	char name[32];
	int fd = -1;

	restrict_calls(RT_SANDBOX_ENFORCE, &fd);
	prctl(PR_SET_NAME, "escaping");
	HOLDS(read(fd, &refusal, sizeof refusal) < 0 && errno == EAGAIN);
	errno = 0;
	HOLDS(syscall(SYS_listen, 7, 8) == -1 && errno == EPERM);
	HOLDS(read(fd, &refusal, sizeof refusal) == sizeof refusal);
	HOLDS(refusal.number == SYS_listen);
	HOLDS(refusal.arguments[0] == 7 && refusal.arguments[1] == 8);
	HOLDS(refusal.thread == gettid() && refusal.address);
	HOLDS(!strcmp(refusal.name, "escaping") && !refusal.path[0]);
	HOLDS(!strcmp(rt_sandbox_call_name(SYS_listen, name, sizeof name),
		      "listen"));
	HOLDS(!strcmp(rt_sandbox_call_name(99999, name, sizeof name),
		      "call 99999"));
	HOLDS(rt_sandbox_lost() == 0);
}

Test(rt_sandbox, a_call_that_is_not_declared_fails_and_is_told)
{
	in_a_child(refuse_a_call);
}

static void meet_conditions(void)
{
	int fd = -1, ends[2];

	restrict_calls(RT_SANDBOX_ENFORCE, &fd);
	HOLDS(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	HOLDS(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) && errno == EPERM);
	HOLDS(syscall(SYS_socketpair, AF_INET, SOCK_STREAM, 0, ends) &&
	      errno == EPERM);
}

Test(rt_sandbox, all_conditions_of_a_call_must_be_met)
{
	in_a_child(meet_conditions);
}

static void *ask_in_thread(void *opaque)
{
	(void)opaque;
	return syscall(SYS_listen, 1, 1) == -1 && errno == EPERM ? (void *)1
								 : NULL;
}

static void refuse_threads(void)
{
	void *result = NULL;
	pthread_t thread;
	int fd = -1;

	restrict_calls(RT_SANDBOX_ENFORCE, &fd);
	/* Made after it, and by a libc that tries clone3() first. */
	HOLDS(!rt_thread_start(&thread, ask_in_thread, NULL));
	HOLDS(!pthread_join(thread, &result) && result);
}

Test(rt_sandbox, a_thread_that_takes_no_signals_learns_of_its_refusal)
{
	in_a_child(refuse_threads);
}

static void flood(void)
{
	struct rt_sandbox_refusal refusal;
	uint64_t told = 0;
	int fd = -1;

	restrict_calls(RT_SANDBOX_ENFORCE, &fd);
	for (unsigned int i = 0; i < 5000; i++)
		HOLDS(syscall(SYS_listen, i, 1) == -1 && errno == EPERM);
	while (read(fd, &refusal, sizeof refusal) == sizeof refusal)
		HOLDS(refusal.arguments[0] == told++);
	HOLDS(told > 100 && told + rt_sandbox_lost() == 5000);
}

Test(rt_sandbox, refusals_that_nobody_reads_are_counted_and_stop_nobody)
{
	in_a_child(flood);
}

static void audit(void)
{
	struct rt_sandbox_refusal refusal;
	int fd = -1;

	restrict_calls(RT_SANDBOX_AUDIT, &fd);
	/* It comes as far as to say that 7 is no socket. */
	HOLDS(syscall(SYS_listen, 1000, 8) == -1 && errno == EBADF);
	HOLDS(read(fd, &refusal, sizeof refusal) == sizeof refusal);
	HOLDS(refusal.number == SYS_listen && refusal.arguments[0] == 1000);
}

Test(rt_sandbox, auditing_tells_and_lets_pass)
{
	in_a_child(audit);
}

static void open_a_foreign_file(void)
{
	struct rt_sandbox_refusal refusal;
	int fd = -1, file;

	restrict_files();
	restrict_calls(RT_SANDBOX_ENFORCE, &fd);
	file = rt_sandbox_open(in_folder("read"), O_RDONLY, 0);
	HOLDS(file >= 0);
	HOLDS(rt_sandbox_open(in_folder("nothing"), O_RDONLY, 0) < 0);
	HOLDS(errno == ENOENT);
	HOLDS(read(fd, &refusal, sizeof refusal) < 0);
	HOLDS(rt_sandbox_open(in_folder("other"), O_RDONLY, 0) < 0);
	HOLDS(errno == EACCES);
	HOLDS(read(fd, &refusal, sizeof refusal) == sizeof refusal);
	HOLDS(!strcmp(refusal.path, in_folder("other")));
}

Test(rt_sandbox, a_file_that_is_refused_at_the_door_is_told,
     .init = make_folder, .fini = remove_folder)
{
	in_a_child(open_a_foreign_file);
}

/* ---- Rights ---- */

static void *wait_for_end(void *opaque)
{
	for (;;)
		pause();
	return opaque;
}

static void give_away_rights(void)
{
	struct rlimit limit;
	char line[128];
	unsigned long long rights = 1;
	unsigned int threads = 0;
	char path[64];
	pthread_t thread;
	FILE *status;

	HOLDS(!rt_sandbox_catch());
	HOLDS(!rt_thread_start(&thread, wait_for_end, NULL));
	HOLDS(!pthread_create(&thread, NULL, wait_for_end, NULL));
	HOLDS(!rt_sandbox_keep_secrets());
	HOLDS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	HOLDS(!getrlimit(RLIMIT_CORE, &limit) && !limit.rlim_max);
	HOLDS(!rt_sandbox_drop_capabilities());
	for (int id = getpid(); id < getpid() + 64; id++) {
		snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
		status = fopen(path, "re");
		if (!status)
			continue;
		threads++;
		while (fgets(line, sizeof line, status))
			if (sscanf(line, "CapPrm: %llx", &rights) == 1)
				HOLDS(!rights);
		fclose(status);
	}
	HOLDS(threads >= 3);
}

Test(rt_sandbox, no_thread_keeps_a_capability)
{
	in_a_child(give_away_rights);
}
