/* SPDX-License-Identifier: BSD-3-Clause */
/* What a TPM keeps, for whom, and what leaves the card of it. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "tests/function/tpm_bench.h"

static struct tpm_bench b;

static void start(void)
{
	rt_log_set_level(RT_LOG_ERROR);
	tpm_bench_create(&b);
}

static void stop(void)
{
	tpm_bench_destroy(&b);
}

TestSuite(tpm_state, .init = start, .fini = stop);

static void begin(const char *instance, uint8_t key)
{
	struct rt_error error = { 0 };

	cr_assert_eq(tpm_bench_start(&b, instance, key, &error), 0, "%s",
		     error.text);
	tpm_bench_connect(&b);
	tpm_power_on(&b);
}

static void end(void)
{
	tpm_bench_disconnect(&b);
	tpm_bench_stop(&b);
}

static unsigned int nv_byte(void)
{
	uint8_t answer[4096];

	cr_assert_eq(tpm_run(&b, TPM_NV_READ, answer), 29, "code %02x%02x",
		     answer[8], answer[9]);
	return answer[16];
}

Test(tpm_state, outlives_the_card)
{
	begin("i-1", 7);
	cr_assert_eq(tpm_code(&b, TPM_NV_DEFINE), 0);
	cr_assert_eq(tpm_code(&b, TPM_NV_WRITE("a5")), 0);
	end();
	begin("i-1", 7);
	cr_expect_eq(nv_byte(), 0xa5);
}

/* A card of its own, which writes to the pipe what the TPM has acknowledged. */
static void write_until_killed(int pipe)
{
	static const char *const writes[] = { TPM_NV_WRITE("00"),
					      TPM_NV_WRITE("01"),
					      TPM_NV_WRITE("02"),
					      TPM_NV_WRITE("03") };

	begin("i-1", 7);
	cr_assert_eq(tpm_code(&b, TPM_NV_DEFINE), 0);
	for (uint8_t i = 0;; i = (uint8_t)((i + 1) % 4)) {
		if (tpm_code(&b, writes[i]) || write(pipe, &i, 1) != 1)
			_exit(1);
	}
}

Test(tpm_state, keeps_what_was_acknowledged_through_kill)
{
	uint8_t last = 0xff;
	int pipes[2], count;
	pid_t child;

	cr_assert_eq(pipe(pipes), 0);
	child = fork();
	if (!child)
		write_until_killed(pipes[1]);
	close(pipes[1]);
	for (count = 0; count < 50 && read(pipes[0], &last, 1) == 1; count++)
		;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	while (read(pipes[0], &last, 1) == 1)
		;
	cr_assert_eq(count, 50);
	begin("i-1", 7);
	/* What was on its way may have arrived. */
	cr_expect(nv_byte() == last || nv_byte() == (last + 1u) % 4,
		  "acknowledged %u, found %u", last, nv_byte());
}

static size_t each_file(void (*act)(const char *path))
{
	char folder[96], path[400];
	struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	snprintf(folder, sizeof folder, "%s/tpm", b.dir);
	dir = opendir(folder);
	cr_assert(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strstr(entry->d_name, ".lock"))
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		act(path);
		count++;
	}
	closedir(dir);
	return count;
}

static void is_private(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600, "%s", path);
}

static void holds_no_plaintext(const char *path)
{
	static char bytes[1 << 20];
	FILE *file = fopen(path, "r");
	size_t size = fread(bytes, 1, sizeof bytes, file);

	fclose(file);
	cr_expect_not(
		memmem(bytes, size, "\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5", 8));
	cr_expect_eq(memcmp(bytes, "NITROTPM", 8), 0);
}

Test(tpm_state, is_encrypted_and_its_owners_only)
{
	begin("i-1", 7);
	cr_assert_eq(tpm_code(&b, TPM_NV_DEFINE), 0);
	cr_assert_eq(tpm_code(&b, TPM_NV_WRITE("a5")), 0);
	end();
	cr_expect_eq(each_file(is_private), 2, "state and endorsement keys");
	each_file(holds_no_plaintext);
}

static void refused(const char *instance, uint8_t key, int code,
		    const char *word)
{
	struct rt_error error = { 0 };

	cr_expect_eq(tpm_bench_start(&b, instance, key, &error), code);
	cr_expect(strstr(error.text, word), "%s", error.text);
	cr_expect(error.hint[0] || code != -EBADMSG);
}

static size_t flip_at;

static void flip(const char *path)
{
	uint8_t byte;
	int fd = open(path, O_RDWR);

	cr_assert_eq(pread(fd, &byte, 1, (off_t)flip_at), 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, (off_t)flip_at), 1);
	close(fd);
}

Test(tpm_state, of_another_installation_or_altered_is_refused)
{
	static const size_t places[] = { 0, 11, 12, 24, 40 };

	begin("i-1", 7);
	end();
	refused("i-1", 8, -EBADMSG, "another installation");
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		flip_at = places[i];
		each_file(flip);
		refused("i-1", 7, -EBADMSG, "was altered");
		each_file(flip);
	}
	begin("i-1", 7);
}

static void rename_it(const char *path)
{
	char other[400];
	char *name;

	strcpy(other, path);
	name = strstr(other, "i-1");
	name[2] = '2';
	cr_assert_eq(rename(path, other), 0);
}

Test(tpm_state, of_another_instance_is_refused)
{
	begin("i-1", 7);
	end();
	each_file(rename_it);
	refused("i-2", 7, -EBADMSG, "another installation or instance");
	refused("../i-1", 7, -EINVAL, "letters");
	refused("", 7, -EINVAL, "letters");
}

Test(tpm_state, there_is_one_in_a_process_and_one_of_an_instance)
{
	struct tpm_bench other = b;
	struct rt_error error = { 0 };
	pid_t child;
	int status;

	begin("i-1", 7);
	other.tpm = NULL;
	snprintf(other.socket, sizeof other.socket, "%s/tpm1.tpm", b.dir);
	cr_expect_eq(tpm_bench_start(&other, "i-2", 7, &error), -EBUSY);
	cr_expect(strstr(error.text, "one TPM"), "%s", error.text);
	child = fork();
	if (!child) {
		struct sec_tpm_store store;
		uint8_t key[SEC_TPM_KEY_BYTES] = { 0 };
		int code = sec_tpm_store_open(&store, b.dir_fd, "i-1", key,
					      &error);

		_exit(code == -EBUSY && strstr(error.text, "another card") ? 9
									   : 1);
	}
	waitpid(child, &status, 0);
	cr_expect_eq(WEXITSTATUS(status), 9);
}

#define EXTEND_16                                                              \
	"8002 0000001f 0000013c 00000010 00000009 40000009 0000 00 0000 "      \
	"0002 abcd"
#define READ_16 "8001 00000014 0000017e 00000001 000c 03 000001"

Test(tpm_state, goes_into_a_vmms_snapshot_and_back)
{
	static uint8_t permanent[1 << 20], volatile_[1 << 20], answer[4096];
	static struct tpm_reading r;
	size_t sizes[2];
	uint8_t pcr[48];

	begin("i-1", 7);
	cr_assert_eq(tpm_code(&b, TPM_NV_DEFINE), 0);
	cr_assert_eq(tpm_code(&b, TPM_NV_WRITE("a5")), 0);
	cr_assert_eq(tpm_code(&b, EXTEND_16), 0);
	tpm_run(&b, READ_16, answer);
	memcpy(pcr, answer + 30, 48);
	sizes[0] = tpm_get_blob(&b, 1, permanent, sizeof permanent);
	sizes[1] = tpm_get_blob(&b, 2, volatile_, sizeof volatile_);
	cr_expect_eq(tpm_get_blob(&b, 3, answer, sizeof answer), 0);
	cr_expect_not(memmem(permanent, sizes[0], "\xa5\xa5\xa5\xa5", 4));
	/* The guest goes on, and is then put back. */
	cr_assert_eq(tpm_code(&b, TPM_NV_WRITE("11")), 0);
	cr_expect_eq(tpm_set_blob(&b, 1, 2, permanent, sizes[0]), 0x0a,
		     "power is on");
	cr_assert_eq(tpm_tell(&b, CMD_STOP), 0);
	cr_assert_eq(tpm_set_blob(&b, 1, 2, permanent, sizes[0]), 0);
	cr_assert_eq(tpm_set_blob(&b, 2, 2, volatile_, sizes[1]), 0);
	cr_assert_eq(tpm_tell_number(&b, CMD_INIT, 1), 0);
	cr_expect_eq(nv_byte(), 0xa5);
	tpm_run(&b, READ_16, answer);
	cr_expect_arr_eq(answer + 30, pcr, 48, "without a TPM2_Startup");
	tpm_read(&b, &r);
	cr_expect(r.status.is_started && r.status.has_pcrs);
	cr_expect_arr_eq(r.status.pcrs[16], pcr, 48);
}

Test(tpm_state, takes_no_blob_but_its_own)
{
	static uint8_t blob[1 << 20];
	size_t size;

	begin("i-1", 7);
	size = tpm_get_blob(&b, 1, blob, sizeof blob);
	cr_assert_eq(tpm_tell(&b, CMD_STOP), 0);
	cr_expect_eq(tpm_set_blob(&b, 1, 0, blob, size), 0x21,
		     "not said sealed");
	cr_expect_eq(tpm_set_blob(&b, 2, 2, blob, size), 0x21,
		     "of another kind");
	cr_expect_eq(tpm_set_blob(&b, 4, 2, blob, size), 0x03);
	blob[size / 2] ^= 1;
	cr_expect_eq(tpm_set_blob(&b, 1, 2, blob, size), 0x21, "altered");
	cr_expect_eq(tpm_set_blob(&b, 1, 2, (const uint8_t *)"plain", 5), 0x21);
	blob[size / 2] ^= 1;
	end();
	begin("i-2", 7);
	cr_assert_eq(tpm_tell(&b, CMD_STOP), 0);
	cr_expect_eq(tpm_set_blob(&b, 1, 2, blob, size), 0x21,
		     "of another instance");
}

Test(tpm_state, has_endorsement_keys_of_its_own_for_ever)
{
	static struct tpm_reading first, again, other;
	uint8_t der[SEC_TPM_EK_BYTES];

	begin("i-1", 7);
	tpm_read(&b, &first);
	end();
	begin("i-1", 7);
	tpm_read(&b, &again);
	end();
	begin("i-2", 7);
	tpm_read(&b, &other);
	for (int i = 0; i < SEC_TPM_EKS; i++) {
		cr_expect_arr_eq(&first.eks[i], &again.eks[i],
				 sizeof first.eks[i]);
		cr_expect_arr_neq(&first.eks[i], &other.eks[i],
				  sizeof first.eks[i]);
	}
	/* SubjectPublicKeyInfo of 2048 bits and of P-384. */
	cr_expect_eq(sec_tpm_ek_to_der(&first.eks[0], der), 294);
	cr_expect_eq(sec_tpm_ek_to_der(&first.eks[1], der), 120);
}

Test(tpm_state, tells_no_endorsement_key_that_is_no_longer_its_own)
{
	static struct tpm_reading first, now;

	begin("i-1", 7);
	tpm_read(&b, &first);
	/* TPM2_ChangeEPS, by the platform. */
	cr_assert_eq(tpm_code(&b, "8002 0000001b 00000124 4000000c 00000009 "
				  "40000009 0000 00 0000"),
		     0);
	tpm_read(&b, &now);
	cr_expect_eq(now.eks[0].size, 0);
	end();
	begin("i-1", 7);
	tpm_read(&b, &now);
	cr_expect_eq(now.eks[0].size, first.eks[0].size);
	cr_expect_arr_neq(&now.eks[0], &first.eks[0], sizeof now.eks[0]);
}

Test(tpm_state, is_told_without_disturbing_the_guest)
{
	static struct tpm_reading r;
	uint8_t answer[4096];

	begin("i-1", 7);
	cr_assert_eq(tpm_code(&b, EXTEND_16), 0);
	tpm_run(&b, READ_16, answer);
	tpm_read(&b, &r);
	cr_expect(r.status.is_connected && r.status.is_on &&
		  r.status.is_started && r.status.has_pcrs);
	cr_expect_arr_eq(r.status.pcrs[16], answer + 30, 48);
	cr_expect_eq(r.status.boots, 1);
	cr_expect_eq(r.status.commands, 3);
	cr_expect_eq(r.status.failures, 0);
	cr_expect_eq(r.status.failed_stores, 0);
	tpm_bench_disconnect(&b);
	for (int i = 0; i < 1000 && r.status.is_on; i++) {
		usleep(1000);
		tpm_read(&b, &r);
	}
	cr_expect(!r.status.is_connected && !r.status.is_on);
}

Test(tpm_state, binds_guest_and_card_in_the_cards_log)
{
	static struct sec_event log[SEC_EVENTS];
	static struct tpm_reading r;
	uint8_t expected[48];
	size_t count;

	begin("i-1", 7);
	tpm_read(&b, &r);
	count = sec_event_log(log, SEC_EVENTS);
	cr_assert_eq(count, 1);
	cr_expect_str_eq(log[0].what, "tpm-start i-1");
	cr_expect_eq(log[0].number, SEC_REGISTER_GUEST);
	cr_expect_arr_eq(log[0].digest, r.status.pcrs[SEC_TPM_CARD_PCR], 48);
	/* PCR 22 is replayed from ones and the card's registers. */
	memset(expected, 0xff, sizeof expected);
	for (int n = 0; n < SEC_REGISTER_GUEST; n++) {
		uint8_t both[96];

		memcpy(both, expected, 48);
		sec_register_read((enum sec_register)n, expected);
		cr_assert_eq(sec_digest(expected, 48, both + 48), 0);
		cr_assert_eq(sec_digest(both, 96, expected), 0);
	}
	cr_expect_arr_eq(expected, r.status.pcrs[SEC_TPM_CARD_PCR], 48);
}

Test(tpm_state, a_disk_that_fails_is_no_acknowledgement)
{
	const struct rlimit none = { 0, 0 };
	static struct tpm_reading r;

	begin("i-1", 7);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	cr_expect_neq(tpm_code(&b, TPM_NV_DEFINE), 0);
	cr_expect_eq(tpm_code(&b, TPM_NV_READ), 0x101, "TPM_RC_FAILURE");
	tpm_read(&b, &r);
	cr_expect_geq(r.status.failed_stores, 1);
}
