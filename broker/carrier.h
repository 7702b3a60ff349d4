/* SPDX-License-Identifier: ISC */
/*
 * How requests arrive and answers leave: two carriers, above which lane.c and all else are the same. And what the second
 * one's messages are, between a family's handler (sandbox/carrier.c) and its broker (carrier_socket.c).
 */
#ifndef AIRLOCK_CARRIER_H
#define AIRLOCK_CARRIER_H

#include "broker/broker.h"

enum received { RECEIVED_REQUEST, RECEIVED_NOTHING, RECEIVED_END };

#define CARRIER_HELD 3
struct carrier {
	bool goes_on; /* the caller can be told to make its call itself, and to execute programs */
	/* For f->listener, which it fills f->carrier_data for. */
	int (*start)(struct family *f);
	/* Waits for one, and fills id, tid, nr, place, stands, args. NOTHING: look whether to stop, and come again. */
	enum received (*receive)(struct family *f, struct request *r);
	void (*answer)(struct family *f, uint64_t id, struct answer a); /* takes a.fd */
	/* Whether the caller still waits for the answer. */
	bool (*alive)(const struct family *f, uint64_t id);
	/* The signals that the program has blocked, given those that its thread has. */
	uint64_t (*blocked)(const struct family *f, uint64_t id, uint64_t thread);
	/* The caller's descriptors that are the carrier's and not the program's: two for the while of the request, one for
	 * ever; -1 for none. False when there was no number left even for the two. */
	bool (*held)(const struct family *f, uint64_t id, int numbers[CARRIER_HELD]);
	void (*stop)(struct family *f);
};
extern const struct carrier carrier_listener, carrier_socket;

/* SEQPACKET, with one end of a fresh pair of sockets for the answer. Nothing in it is believed. */
struct carrier_message {
	int32_t nr;
	int32_t tid, pid; /* as the sender has them */
	int32_t held[CARRIER_HELD]; /* its descriptors that are no program's: the pair's, then the socket it sends by */
	uint64_t args[6];
	uint64_t place; /* behind the call */
	uint64_t stands; /* behind the handler's own */
	uint64_t mask; /* the signals that were blocked at the call */
	uint64_t slot; /* without a socket: where the result goes, a struct carrier_slot; else 0 */
};

enum carrier_kind {
	CARRIER_VALUE,
	CARRIER_FD, /* a descriptor comes along */
	CARRIER_FD_WAIT, /* it does, and that it may be used is another message: CARRIER_VALUE, 0 */
	CARRIER_GO, /* it may, by what its registers say of itself */
};
struct carrier_answer {
	int64_t value;
	uint32_t kind;
	uint32_t cloexec;
};

/* In the sender's memory. */
struct carrier_slot {
	int64_t value;
	uint32_t done;
};

#endif
