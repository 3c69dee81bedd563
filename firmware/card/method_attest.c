/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about attestation.  Main thread. */
#include "firmware/card/methods.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "security-chip/attest/attest.h"

void card_method_attest_root(struct card_call *call)
{
	RT_FREE char *pem = NULL;
	struct rt_error error;

	if (sec_attest_root_pem(&pem, &error))
		card_call_fail(call, card_rpc_code_of(error.code), "%s",
			       error.text);
	else
		call->result = json_pack("{s:s}", "pem", pem);
	card_call_done(call);
}
