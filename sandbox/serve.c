/* SPDX-License-Identifier: ISC */
/* Owns the serving of calls: waits for the host's calls and runs the functions that they name. Runs in the target. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <unistd.h>

_Noreturn void serve_calls(struct ipc_call *call, size_t shared)
{
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len, cap;
	const unsigned char *in = (const unsigned char *)call + ipc_call_in_offset();
	unsigned char *out = (unsigned char *)call + ipc_call_out_offset(shared);
	for (;;) {
		int r = ipc_call_wait(call, shared, name, &in_len, &cap);
		if (r < 0)
			_exit(0);
		if (r == 1) {
			wishes_grant(call);
			continue;
		}
		const struct airlock_symbol *s = symbol_find(name);
		if (!s || !s->function)
			ipc_call_reply(call, INT64_MIN + ENOSYS);
		else
			ipc_call_reply(call, s->function(in, in_len, out, cap));
	}
}
