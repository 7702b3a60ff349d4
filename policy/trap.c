/* SPDX-License-Identifier: ISC */
/*
 * This file owns what a filter says first where requests go by SIGSYS and a socket. Pure; used where filters are compiled
 * and by the process that loads one.
 *
 * The handler needs calls that the promises may not give: it sends on its socket, and receives the answer. They pass by
 * the address of its one system call instruction. That is no secret and no wall: hostile code can jump there. So what
 * passes must be worth nothing to it: sending on the one socket that leads to the broker, which believes nothing in a
 * message; a pair of sockets; and receiving from a socket, descriptors included, which is what is left of `recvfd` under
 * this carrier. No call that the broker decides is among them, and what it decides on registers it performs itself.
 *
 * The other part keeps a benign program from cutting its own wire: closing the socket's number, or blocking SIGSYS, which
 * glibc does with all signals wherever it makes a thread. A hostile one that finds a way around it ends only its own
 * requests.
 */
#include "policy/trap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* A jump to the program, which begins where the front ends. */
#define PROGRAM 0xff
#define LOW(n) ((uint32_t)(offsetof(struct seccomp_data, args) + 8 * (n)))
#define HIGH(n) (LOW(n) + 4)
#define NUMBER ((uint32_t)offsetof(struct seccomp_data, nr))
#define TRAP(kind) (SECCOMP_RET_TRAP | (kind))

struct front {
	struct sock_filter *code;
	size_t len;
};

static void put(struct front *f, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
	f->code[f->len++] = (struct sock_filter){(uint16_t)code, (uint8_t)yes, (uint8_t)no, k};
}

static void load(struct front *f, uint32_t offset)
{
	put(f, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void verdict(struct front *f, uint32_t k)
{
	put(f, BPF_RET | BPF_K, k, 0, 0);
}

static void jump(struct front *f, unsigned kind, uint32_t k, unsigned yes, unsigned no)
{
	put(f, BPF_JMP | kind | BPF_K, k, yes, no);
}

enum test {
	ALL,
	SOCKET, /* the int argument is the socket */
	VALUE, /* it is this value */
	EMPTY, /* the pointer is NULL */
	GIVEN, /* it is not */
	RANGE, /* the socket is in the range from the argument to the next */
};

struct guard {
	int number;
	enum test test;
	unsigned arg;
	uint32_t value;
	bool performs; /* the handler makes the call after all: only where the promises let it pass */
};

/* What the handler calls for itself. */
static const struct guard own_calls[] = {
	{SYS_sendmsg, SOCKET, 0, 0, false},
	{SYS_recvmsg, ALL, 0, 0, false},
	{SYS_socketpair, VALUE, 0, AF_UNIX, false},
	{SYS_fcntl, VALUE, 1, F_DUPFD, false},
	{SYS_fcntl, VALUE, 1, F_DUPFD_CLOEXEC, false},
	{SYS_rt_sigpending, ALL, 0, 0, false},
	{SYS_rt_sigaction, EMPTY, 1, 0, false},
};

/* What nobody may do as it is asked for; those that the handler performs, nobody else. */
static const struct guard guards[] = {
	{SYS_close, SOCKET, 0, 0, false},
	{SYS_dup, SOCKET, 0, 0, false},
#ifdef SYS_dup2
	{SYS_dup2, SOCKET, 0, 0, false},
	{SYS_dup2, SOCKET, 1, 0, false},
#endif
	{SYS_dup3, SOCKET, 0, 0, false},
	{SYS_dup3, SOCKET, 1, 0, false},
	{SYS_fcntl, SOCKET, 0, 0, false},
	{SYS_ioctl, SOCKET, 0, 0, false},
	{SYS_setsockopt, SOCKET, 0, 0, false},
	{SYS_close_range, RANGE, 0, 0, true},
	{SYS_rt_sigprocmask, GIVEN, 1, 0, true},
	{SYS_rt_sigaction, GIVEN, 1, 0, true},
	{SYS_rt_sigaction, VALUE, 0, SIGSYS, true},
	{SYS_rt_sigsuspend, ALL, 0, 0, true},
	{SYS_ppoll, GIVEN, 3, 0, true},
	{SYS_pselect6, GIVEN, 5, 0, true},
	{SYS_epoll_pwait, GIVEN, 4, 0, true},
	{SYS_epoll_pwait2, GIVEN, 4, 0, true},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* With the call's number in the accumulator; leaves it there for the next. */
static void write_guard(struct front *f, const struct guard *g, uint32_t says)
{
	size_t at = f->len;
	jump(f, BPF_JEQ, (uint32_t)g->number, 0, 0); /* no: past all of this, set below */
	switch (g->test) {
	case ALL:
		verdict(f, says);
		break;
	case SOCKET:
	case VALUE:
		load(f, LOW(g->arg));
		jump(f, BPF_JEQ, g->test == SOCKET ? TRAP_SOCKET : g->value, 0, 1);
		verdict(f, says);
		load(f, NUMBER);
		break;
	case EMPTY:
		load(f, LOW(g->arg));
		jump(f, BPF_JEQ, 0, 0, 3);
		load(f, HIGH(g->arg));
		jump(f, BPF_JEQ, 0, 0, 1);
		verdict(f, says);
		load(f, NUMBER);
		break;
	case GIVEN:
		load(f, LOW(g->arg));
		jump(f, BPF_JEQ, 0, 0, 2);
		load(f, HIGH(g->arg));
		jump(f, BPF_JEQ, 0, 1, 0);
		verdict(f, says);
		load(f, NUMBER);
		break;
	case RANGE:
		load(f, LOW(g->arg));
		jump(f, BPF_JGT, TRAP_SOCKET, 3, 0);
		load(f, LOW(g->arg + 1));
		jump(f, BPF_JGE, TRAP_SOCKET, 0, 1);
		verdict(f, says);
		load(f, NUMBER);
		break;
	}
	f->code[at].jf = (uint8_t)(f->len - at - 1);
}

/* A trap in the handler would be its end. An action for SIGABRT is always promised: the program below passes it. */
static void write_refusal(struct front *f, int number)
{
	const bool action = number == SYS_rt_sigaction;
	jump(f, BPF_JEQ, (uint32_t)number, 0, action ? 4 : 1);
	if (action) {
		load(f, LOW(0));
		jump(f, BPF_JEQ, SIGABRT, 1, 0);
	}
	verdict(f, SECCOMP_RET_ERRNO | EPERM);
	if (action)
		load(f, NUMBER);
}

size_t trap_front(struct sock_filter code[TRAP_FRONT_MAX], bool base, uint32_t arch,
	bool (*passes)(void *arg, int number), void *arg)
{
	struct front f = {code, 0};
	/* The program refuses another architecture. */
	load(&f, offsetof(struct seccomp_data, arch));
	jump(&f, BPF_JEQ, arch, 0, PROGRAM);
	load(&f, NUMBER);
	/* Also by the handler's instruction: who gets a copy of the socket could shut it down for the whole family. */
	for (size_t i = 0; base && i < COUNT(guards); i++)
		if (!guards[i].performs)
			write_guard(&f, &guards[i], TRAP(TRAP_OWN));
	/* A descriptor that was sent in a message is a copy too: the broker looks what it is. */
	if (base)
		write_guard(&f, &(struct guard){SYS_shutdown, ALL, 0, 0, false}, TRAP(TRAP_ASK));
	load(&f, offsetof(struct seccomp_data, instruction_pointer));
	size_t first = f.len;
	jump(&f, BPF_JEQ, (uint32_t)TRAP_PLACE, 0, PROGRAM);
	load(&f, offsetof(struct seccomp_data, instruction_pointer) + 4);
	size_t second = f.len;
	jump(&f, BPF_JEQ, (uint32_t)(TRAP_PLACE >> 32), 0, PROGRAM);
	load(&f, NUMBER);
	for (size_t i = 0; i < COUNT(own_calls); i++)
		write_guard(&f, &own_calls[i], SECCOMP_RET_ALLOW);
	for (size_t i = 0; !base && i < COUNT(guards); i++)
		if (guards[i].performs && !passes(arg, guards[i].number))
			write_refusal(&f, guards[i].number);
	if (base) {
		size_t end = f.len;
		put(&f, BPF_JMP | BPF_JA, 0, 0, 0);
		f.code[first].jf = (uint8_t)(f.len - first - 1);
		f.code[second].jf = (uint8_t)(f.len - second - 1);
		load(&f, NUMBER);
		for (size_t i = 0; i < COUNT(guards); i++)
			if (guards[i].performs && passes(arg, guards[i].number))
				write_guard(&f, &guards[i], TRAP(TRAP_OWN));
		f.code[end].k = (uint32_t)(f.len - end - 1);
	}
	for (size_t i = 0; i < f.len; i++)
		if (BPF_CLASS(code[i].code) == BPF_JMP && code[i].jf == PROGRAM)
			code[i].jf = (uint8_t)(f.len - i - 1);
	return f.len;
}

void trap_fit(struct sock_filter *code, size_t len, uint64_t place, uint32_t socket)
{
	for (size_t i = 0; i < len; i++) {
		struct sock_filter *c = &code[i];
		if (BPF_CLASS(c->code) != BPF_JMP || BPF_OP(c->code) == BPF_JA)
			continue;
		if (c->k == TRAP_SOCKET)
			c->k = socket;
		else if (c->k == (uint32_t)TRAP_PLACE)
			c->k = (uint32_t)place;
		else if (c->k == (uint32_t)(TRAP_PLACE >> 32))
			c->k = (uint32_t)(place >> 32);
	}
}
