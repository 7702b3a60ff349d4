/* SPDX-License-Identifier: ISC */
/* Bytes and descriptors between host, broker and target; no meanings. */
#ifndef AIRLOCK_IPC_H
#define AIRLOCK_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- time, in milliseconds ---- */

int64_t clock_ms(clockid_t clock);
int64_t monotonic_ms(void); /* of CLOCK_MONOTONIC */

/* ---- messages: one SEQPACKET record each ---- */

#define IPC_FDS_MAX 64
#define IPC_BYTES_MAX 65536

struct ipc_message {
	uint32_t type;
	size_t len; /* payload bytes, after the header */
	const void *data; /* sending: the payload; receiving: points into the receiver's buffer */
	int fds[IPC_FDS_MAX];
	size_t fd_count;
};

/* A pair of SEQPACKET sockets, close-on-exec. */
int ipc_pair(int fds[2]);
/* Never SIGPIPE. -EAGAIN when full and wait is false; -EPIPE; -EMSGSIZE. Descriptors stay the caller's. */
int ipc_send(int socket, const struct ipc_message *m, bool wait);
/* Receives into buf (len at least IPC_BYTES_MAX + 16). 1: a message; 0: the peer closed; -EAGAIN when nothing and !wait;
 * -EPROTO for anything malformed: short, truncated, more descriptors than fd_max, wrong length field; such a record's
 * descriptors are all closed. Descriptors come close-on-exec and are the caller's: ipc_message_close() closes those
 * still >= 0. */
int ipc_recv(int socket, void *buf, size_t len, size_t fd_max, struct ipc_message *m, bool wait);
void ipc_message_close(struct ipc_message *m);
/* Whether a record of that type is the next to be received. */
bool ipc_waits(int socket, uint32_t type);
/* This process does without sendmsg(2), or without recvmsg(2): then its messages carry no descriptors. */
void ipc_plain(bool send, bool recv);

/* ---- a sealed memfd: of this size for ever; mapped by both sides ---- */
int ipc_memfd(const char *name, const void *bytes, size_t len, bool read_only); /* sealed; returns the descriptor */
int ipc_memfd_open(const char *name, const void *bytes, size_t len, int seals); /* with these: F_SEAL_... */
/* Maps fd after checking that it is a memfd sealed against shrinking and growing, of at least len bytes. */
int ipc_map(int fd, size_t len, bool writable, void **out);

/* ---- calls through shared memory: one request at a time ---- */

/* A buffer that goes along with a call. As the host wrote it, so a target may believe it; the host never reads it back. */
#define IPC_LENDS_MAX 8
struct ipc_lend {
	uint64_t id; /* what the target asks its broker for, who answers with the descriptor, once */
	uint64_t len; /* 0: nothing is lent, the target lets go of what it keeps mapped as that id */
	uint32_t writable;
	uint32_t pad;
};

#define IPC_CALL_NAME_MAX 63
#define IPC_CALL_INLINE 0
enum ipc_call_state { IPC_CALL_IDLE, IPC_CALL_REQUEST, IPC_CALL_REPLY, IPC_CALL_DEAD };

/* The first page of the shared memory. Both sides write it: a reader copies a field once, then checks the copy. */
struct ipc_call {
	_Atomic uint32_t state; /* futex word */
	_Atomic uint32_t host_waits; /* the host sleeps on state: wake it */
	_Atomic uint32_t target_waits;
	_Atomic uint32_t spin; /* the host's advice: pauses that the target spins for before it sleeps */
	_Atomic uint64_t in_len, cap;
	_Atomic int64_t result;
	_Atomic uint32_t target_cpu; /* where the target last ran, + 1 */
	_Atomic uint32_t told; /* see ipc_call_tell() */
	_Atomic uint32_t wish, granted; /* see ipc_call_wish() */
	char name[IPC_CALL_NAME_MAX + 1];
};
/* Offsets of the two data areas for a size per direction, and the whole length: page aligned. */
size_t ipc_call_in_offset(void);
size_t ipc_call_out_offset(size_t shared);
size_t ipc_call_total(size_t shared);

/* Host: publishes a request (name already checked for length) and waits for the reply: spins, then sleeps in slices;
 * gone(arg) is asked between slices and ends the wait with -EPIPE. On 0 *result is what the target returned, unchecked. */
int ipc_call_request(struct ipc_call *c, const char *name, uint64_t in_len, uint64_t cap, bool (*gone)(void *),
	void *arg, int64_t *result);
/* Target: waits for a request; copies name (terminated), in_len and cap, checked against shared. 0, -EPROTO, -EPIPE; 1: there
 * is a wish of the host's to grant first. */
int ipc_call_wait(struct ipc_call *c, size_t shared, char name[IPC_CALL_NAME_MAX + 1], uint64_t *in_len, uint64_t *cap);
void ipc_call_reply(struct ipc_call *c, int64_t result);
/* Host: what the target is to do between two calls, IPC_WISH_ bits. A number for the next two. */
#define IPC_WISH_ANSWER 0
#define IPC_WISH_TRIM 1
#define IPC_WISH_BITS 1
uint32_t ipc_call_wish(struct ipc_call *c, uint32_t wish);
bool ipc_call_granted(const struct ipc_call *c, uint32_t number);
void ipc_call_await_grant(struct ipc_call *c, uint32_t number, int ms);
/* Target: whether there is a wish, which is then *wish; and that it is granted. */
bool ipc_call_wished(const struct ipc_call *c, uint32_t *wish);
void ipc_call_grant(struct ipc_call *c, uint32_t wish);
/* Broker: gone() of a call that waits is to be asked soon, as there is something to be seen elsewhere. */
void ipc_call_tell(struct ipc_call *c);
/* Anyone: nobody will answer any more; wakes both sides. */
void ipc_call_dead(struct ipc_call *c);
#endif
