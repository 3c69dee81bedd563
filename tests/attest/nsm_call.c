/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request to a running card's security module, without a guest:
 *
 *   nsm-call SOCKET <request >answer
 */
#include <stdio.h>

#include "firmware/rt/error.h"
#include "host-driver/nsm_host.h"

int main(int argc, char **argv)
{
	static uint8_t request[NSM_REQUEST_BYTES], answer[NSM_RESPONSE_BYTES];
	size_t asked = fread(request, 1, sizeof request, stdin);
	size_t size = sizeof answer;
	struct host_function *fn = NULL;
	struct host_nsm *nsm = NULL;
	struct rt_error error = { 0 };
	int status;

	if (argc != 2 || host_open(argv[1], NULL, &fn, &error)) {
		fprintf(stderr, "nsm-call SOCKET: %s\n", error.text);
		return 2;
	}
	status = host_nsm_open(fn, NULL, &nsm);
	if (!status) {
		status = host_nsm_call(nsm, request, asked, answer, &size);
		host_nsm_close(&nsm);
	}
	host_close(&fn);
	if (status)
		fprintf(stderr, "nsm-call: %s\n", rt_errno_name(status));
	return status || fwrite(answer, 1, size, stdout) != size;
}
