/* SPDX-License-Identifier: BSD-3-Clause */
/* How this card came to run.  Main thread. */
#include "firmware/card/methods.h"
#include "security-chip/boot/boot.h"

void card_method_boot_status(struct card_call *call)
{
	call->result = sec_boot_status();
	card_call_done(call);
}
