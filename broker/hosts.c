/* SPDX-License-Identifier: ISC */
/* Owns /etc/hosts where rules have names: a text of the broker's. Runs in the broker, on lanes, and on slow workers where a
 * name is to be looked up first. */
#include "broker/names.h"
#include "ipc/ipc.h"

#include <stdlib.h>
#include <unistd.h>

#define OWN_MAX (4u << 20)

/* The machine's own file, for whom it is anyway; or -1. */
static int machines(struct request *r, int which, int held)
{
	struct place p = {.base = -1};
	struct stat st;
	int fd = -1;
	if (held >= 0)
		return fd_reopen(r->family->broker, held, O_RDONLY);
	if (!(policy_of(r)->promises & PROMISE_BIT(rpath)))
		return -1;
	fd = resolve_open(r, which, 0, PERM_R, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &p);
	if (fd >= 0 && (p.proc || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		if (!p.proc)
			close(fd);
		fd = -1;
	}
	place_close(&p);
	return fd;
}

/* *text grows by what fd has, up to its last whole line. */
static void append(char **text, size_t *len, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return;
	size_t more = st.st_size > OWN_MAX ? OWN_MAX : (size_t)st.st_size;
	char *grown = realloc(*text, *len + more + 1);
	if (!grown)
		return;
	*text = grown;
	ssize_t n = pread(fd, grown + *len, more, 0);
	if (n > 0 && (size_t)n == OWN_MAX)
		while (n > 0 && grown[*len + (size_t)n - 1] != '\n')
			n--;
	*len += n > 0 ? (size_t)n : 0;
}

/* What the target's own lookups find for the names of its rules are the addresses that it may use: another answer to the
 * same question could be another address. What else the machine's file has follows. A new one for each open, of which
 * nobody can change a byte. */
int hosts_open(struct request *r, int which, int held, int flags, bool look)
{
	char *text = NULL;
	size_t len = 0;
	if (!r->family->broker->names)
		return LIBC_NONE;
	int e = names_hosts(r, look, &text, &len);
	if (e < 0)
		return e == DECIDED_LATER ? LIBC_LATER : e;
	int own = machines(r, which, held);
	if (own >= 0) {
		append(&text, &len, own);
		close(own);
	}
	int fd = ipc_memfd("hosts", text, len, true);
	free(text);
	if (fd >= 0) {
		fchmod(fd, 0444);
		e = fd_reopen(r->family->broker, fd, flags);
		close(fd);
		fd = e;
	}
	return fd;
}
