/* SPDX-License-Identifier: ISC */
/* Bytes and descriptors between host, broker and target; no meanings. */
#ifndef AIRLOCK_IPC_H
#define AIRLOCK_IPC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- time, in milliseconds ---- */

int64_t ipc_clock_ms(clockid_t clock);
int64_t ipc_now_ms(void); /* of CLOCK_MONOTONIC */

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
/* The next record's first bytes, which stays; 0: the peer has closed and there is none; -1 and EAGAIN: not yet. */
ssize_t ipc_peek(int socket, void *buf, size_t len);
/* Whether a record of that type is the next to be received. */
bool ipc_waits(int socket, uint32_t type);
/* This process does without sendmsg(2), or without recvmsg(2): then its messages carry no descriptors. */
void ipc_plain(bool send, bool recv);

/* ---- a sealed memfd: of this size for ever; mapped by both sides ---- */
int ipc_memfd(const char *name, const void *bytes, size_t len, bool read_only); /* sealed; returns the descriptor */
int ipc_memfd_open(const char *name, const void *bytes, size_t len, int seals); /* with these: F_SEAL_... */
/* Maps fd after checking that it is a memfd sealed against shrinking and growing, of at least len bytes. */
int ipc_map(int fd, size_t len, bool writable, void **out);

/* ---- calls through shared memory: up to IPC_CALL_ENTRIES under way, answered in their order ---- */

/* A buffer that goes along with a call. As the host wrote it, so a target may believe it; the host never reads it back. */
#define IPC_LENDS_MAX 8
struct ipc_lend {
	uint64_t id; /* what the target asks its broker for, who answers with the descriptor, once */
	uint64_t len; /* 0: nothing is lent, the target lets go of what it keeps mapped as that id */
	uint32_t writable;
	uint32_t pad;
};

#define IPC_CALL_NAME_MAX 63
#define IPC_CALL_ENTRIES 32
#define IPC_CALL_INLINE 128 /* bytes each way that travel in the entry itself */
#define IPC_NO_FUNCTION (INT64_MIN + ENOSYS) /* what no function returns */
#define IPC_NOT_LENT (INT64_MIN + ENOMEM)
#define IPC_BACK_MAX 65536 /* bytes each way of a callback */
/* The low bits of an entry's state. Above them is the number of the call, so that no answer fits another one. */
enum ipc_call_stage { IPC_CALL_ANSWERED, IPC_CALL_ASKED, IPC_CALL_BACK, IPC_CALL_BACK_DONE };

struct ipc_entry {
	_Alignas(128) _Atomic uint32_t state;
	_Atomic uint32_t cancelled; /* the host wants it to end soon */
	_Atomic uint64_t in_len, cap, in_at, out_at; /* offsets from the beginning of the memory */
	_Atomic int64_t result;
	uint32_t lend_count;
	/* Its first line is the neighbour of the state's, and comes with it. */
	_Alignas(64) unsigned char in[IPC_CALL_INLINE];
	unsigned char out[IPC_CALL_INLINE];
	char name[IPC_CALL_NAME_MAX + 1];
	struct ipc_lend lends[IPC_LENDS_MAX];
};

/* The beginning of the shared memory. Both sides write it: a reader copies a field once, then checks the copy. */
struct ipc_call {
	_Atomic uint32_t dead;
	_Atomic uint32_t host_waits, target_waits; /* sleeps on its bell: ring it */
	_Atomic uint32_t host_bell, target_bell; /* futex words */
	_Atomic uint32_t host_polls; /* the host sleeps elsewhere: see ipc_call_reply() */
	_Atomic uint32_t spin; /* the host's advice: pauses that the target spins for before it sleeps */
	_Atomic uint32_t target_cpu; /* where the target last ran, + 1 */
	_Atomic uint32_t told; /* see ipc_call_tell() */
	_Atomic uint32_t wish, granted; /* see ipc_call_wish() */
	_Atomic uint32_t stop, linger_ms; /* see ipc_call_stop() and ipc_call_linger() */
	_Alignas(64) _Atomic uint64_t back_len, back_cap;
	_Atomic int64_t back_result;
	char back_name[IPC_CALL_NAME_MAX + 1];
	struct ipc_entry entry[IPC_CALL_ENTRIES];
};
/* Offsets of the two data areas for a size per direction, and the whole length: page aligned. */
size_t ipc_call_in_offset(void);
size_t ipc_call_out_offset(size_t shared);
size_t ipc_call_total(size_t shared);

/* The host's own record of a call: what it wrote into the entry, which it does not read again. */
struct ipc_slot {
	uint32_t number;
	bool live, answered;
	bool abandoned; /* nobody waits for it: it is free again once answered */
	int why; /* -ETIMEDOUT, -ECANCELED: it was told to end */
	bool killed; /* and did not */
	uint32_t cancels, grace_ms;
	uint64_t limit; /* when it must have been answered, or after that have ended; 0: never */
	uint64_t at[2], len[2]; /* of the data areas: in, out. len 0: none */
	uint64_t cap, out_at;
	int64_t result;
	struct ipc_lend *lends; /* the caller's */
	unsigned lend_count;
};
/* One thread's at a time; only cancels may be raised by any. Zero it, and set page and shared. */
struct ipc_ring {
	struct ipc_call *page;
	size_t shared;
	uint32_t next, oldest; /* numbers: of the next call, of the first one that is not answered */
	unsigned live, ready; /* slots taken; answered, and not abandoned */
	bool broken; /* the target wrote what no target writes */
	uint32_t seen; /* the state of the oldest one */
	_Atomic uint32_t cancels;
	uint32_t cancels_seen;
	uint64_t limit; /* the first of the slots', or 0 */
	bool used;
	uint32_t named; /* the entry that name was written into last, + 1 */
	char name[IPC_CALL_NAME_MAX + 1];
	uint32_t expected[IPC_CALL_ENTRIES]; /* what the entries' states were left at */
	struct ipc_slot slot[IPC_CALL_ENTRIES];
};
struct ipc_request {
	const char *name; /* checked for length */
	const void *in;
	size_t in_len, cap; /* checked against shared */
	const struct ipc_lend *lends;
	unsigned lend_count;
	int timeout_ms, grace_ms; /* -1: none */
};
uint64_t ipc_now_ns(void); /* CLOCK_MONOTONIC */
/* Host: publishes a request. -EAGAIN: no room. -EPIPE, -EPROTO. */
int ipc_ring_publish(struct ipc_ring *r, const struct ipc_request *q, struct ipc_slot **out);
/* Host: takes note of what was answered. 1: a callback waits; 0; -EPROTO, and from then on. */
int ipc_ring_look(struct ipc_ring *r);
/* Host: waits until s is answered: spins, then sleeps in slices; gone(arg) is asked between slices and ends the wait with
 * -EPIPE. 0: answered; 1: a callback waits; -ETIMEDOUT: until (0: never) or r->limit is over; -ECANCELED: r->cancels was
 * raised; -EPROTO. */
int ipc_ring_await(struct ipc_ring *r, struct ipc_slot *s, uint64_t until, bool (*gone)(void *), void *arg);
/* Host: s is the next one's. */
void ipc_ring_free(struct ipc_ring *r, struct ipc_slot *s);
/* Host: the callback that waits: name, lengths checked (-EMSGSIZE), *in is the target's to change. Then its answer. */
int ipc_ring_back(struct ipc_ring *r, char name[IPC_CALL_NAME_MAX + 1], const void **in, size_t *len, size_t *cap);
int ipc_ring_back_done(struct ipc_ring *r, const void *out, int64_t result);
/* Host: from now on the target is to say by other means that it answered (ipc_call_reply()). Then look again. */
void ipc_ring_polls(struct ipc_ring *r);
/* Host: s is to end soon. */
void ipc_ring_tell(struct ipc_ring *r, const struct ipc_slot *s);
/* Host, any thread: the calls under way are to end. */
void ipc_ring_cancel(struct ipc_ring *r);

/* The target's end. */
struct ipc_serving {
	struct ipc_call *page;
	size_t shared;
	uint32_t number;
	struct ipc_entry *entry; /* of the call that is served, else NULL */
};
struct ipc_work {
	char name[IPC_CALL_NAME_MAX + 1];
	const void *in;
	void *out;
	size_t in_len, cap;
	struct ipc_lend lends[IPC_LENDS_MAX];
	unsigned lend_count;
};
/* Target: waits for a request. 0, -EPROTO, -EPIPE (dead, or told to stop), -ETIMEDOUT (it has lingered); 1:
 * there is a wish of the host's to grant first. */
int ipc_call_wait(struct ipc_serving *v, struct ipc_work *w);
/* Target: whether the host sleeps elsewhere, and is to be told that there is an answer. */
bool ipc_call_reply(struct ipc_serving *v, int64_t result);
/* Target: a callback: *out is where its bytes are. *told: as ipc_call_reply() says, and it is to be told by tell(). */
int64_t ipc_call_back(struct ipc_serving *v, const char *name, const void *in, size_t len, const void **out, size_t cap,
	void (*tell)(void));
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
/* Host: the target's serving ends after the call that it is in. */
void ipc_call_stop(struct ipc_call *c);
/* Host: it ends by itself after so long without a call; 0: never. From its next wait on. A call that is published in the
 * moment that it ends is not served: -EPIPE. */
void ipc_call_linger(struct ipc_call *c, uint32_t ms);
#endif
