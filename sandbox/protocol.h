/* SPDX-License-Identifier: ISC */
/* What host, broker, init and target say to each other. All of it is between processes of one image, and none of it
 * crosses the wall: a target speaks to its broker only through notifications, to its host only by airlock_send() and
 * airlock_call(). */
#ifndef AIRLOCK_PROTOCOL_H
#define AIRLOCK_PROTOCOL_H

#include "policy/policy.h"

#include <linux/filter.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define ROLE_VARIABLE "AIRLOCK_ROLE" /* "broker" or "target" in the environment of an image executed again */
#define PROTOCOL_VERSION 1

/* Descriptors by number in a process that was executed again. */
#define FD_CONTROL 3 /* broker: to its host */
#define FD_CHANNEL 3 /* target: to its host */
#define FD_CALL 4 /* target: shared memory of airlock_call() */
#define FD_SETUP 5 /* target: struct setup */
#define FD_NAMESPACES 256 /* target: five from here */
#define FD_RULESET 261 /* target: the Landlock ruleset that it enters */
#define FD_LIFE 262 /* target: see life.c */
#define FD_ABOVE 300 /* where descriptors wait while these numbers are filled */
#define FD_PASS_MAX 255
#define PASS_MAX 48

enum message_type {
	MESSAGE_HELLO, /* host to broker: struct hello; policy text, host's pidfd, and as it says: [image] [, proc] [, log]
			  [, program] [, setup] [, terminal] [, cgroup] */
	MESSAGE_READY, /* broker to host: struct outcome */
	MESSAGE_START, /* host to broker: struct start; status, 0, 1, 2, channel, call, cwd, words [, passed...] [, core] */
	MESSAGE_STARTED, /* broker to host, by the target's status socket from here: struct outcome */
	MESSAGE_REFUSAL, /* struct refusal */
	MESSAGE_ENDED, /* struct ended */
	MESSAGE_KILL, /* host to broker */
	MESSAGE_FIRST, /* init to broker: the first process' pidfd */
	MESSAGE_FAILED, /* init to broker: struct outcome */
	MESSAGE_END, /* init to broker: struct end */
	MESSAGE_ASK, /* struct question (broker/names.h) */
	MESSAGE_ANSWER, /* host to broker: struct reply */
	MESSAGE_CRASHED, /* broker to host: struct crashed; again, when there is a backtrace */
	MESSAGE_ANSWERED, /* target or broker to host: airlock_dispatch() has something to look at */
	MESSAGE_FORK, /* host to broker, by a zygote's status socket: the fork's status socket and shared memory */
	MESSAGE_LEND, /* host to broker, by a worker's status socket: struct lent [, descriptor] */
	MESSAGE_TRIM, /* host to broker */
	MESSAGE_TERM, /* host to broker: SIGTERM to the first process */
	MESSAGE_SUSPEND, /* host to broker: all processes are to stand still (uint32_t 1), or to go on (0) */
	MESSAGE_SUSPENDED, /* broker to host: struct outcome. init to broker: it has signalled them */
	MESSAGE_NOTHING, /* host to broker: to see that it is taken */
};

#define LEND_SLOTS 32u /* buffers that one target may be lent at once, or keep */
#define LEND_SLOT(id) ((unsigned)((id) % LEND_SLOTS))
/* What a target may ask for by AIRLOCK_OP_ATTACH, once; without a descriptor it may not any more. A later one with the same
 * slot takes its place. */
struct lent {
	uint64_t id;
};

/* A broker raises its soft limit to the hard one, which it inherits. */
#define NO_DESCRIPTORS "; each takes six of the broker's descriptors: raise their hard limit (ulimit -Hn, LimitNOFILE=)"

struct reply {
	uint64_t id;
	uint32_t decision;
	uint32_t pad;
};

struct outcome {
	int32_t error; /* negative errno, or 0 */
	uint32_t layers;
	int32_t pid; /* READY: the broker's */
	uint32_t suspended; /* SUSPENDED: that is what was asked last */
	char text[400];
};

struct hello {
	uint32_t version;
	uint32_t in_place, narrowable;
	uint32_t has_image, has_proc, has_log, has_program, has_setup, has_terminal, has_cgroup;
	uint32_t asks; /* the host answers questions */
	uint32_t nofile; /* the host's soft limit of descriptors, which its targets get back */
	uint64_t empty_string; /* in place: the address of libc's sealed "" */
	char name[64]; /* the program's, for ps */
	char program[4096]; /* exec: its path */
};

enum start_kind { START_WORKER, START_EXEC };
/* Of a pool, the entry is the function that prepares what serves its calls, or "". */
enum start_pool {
	POOL_NONE,
	POOL_ZYGOTE, /* it forks targets (MESSAGE_FORK) */
	POOL_FRESH, /* it is one */
};
struct start {
	uint32_t kind;
	uint32_t umask;
	uint64_t shared;
	uint32_t argc, envc; /* strings in the words memory: entry or "", arguments, environment */
	uint32_t words_len;
	uint32_t pass_count;
	int32_t pass_as[PASS_MAX];
	uint32_t nested; /* a target asks: what it chose is not to be trusted before the door is closed */
	uint32_t guest;
	uint32_t pool; /* enum start_pool */
	uint32_t backtrace; /* is wanted of its crashes */
	uint32_t core; /* the last descriptor is where a core file goes */
	char name[64];
};

#define REFUSAL_MISSING 160
struct refusal {
	int32_t error;
	uint32_t kill;
	int32_t limit; /* that it ran into, or -1 */
	char text[320];
	char missing[REFUSAL_MISSING];
};

/* What a process said of its crash, of a form that the broker has checked. */
struct crashed {
	int32_t signal, code;
	uint64_t address, instruction;
	char backtrace[1024];
};

/* Between host and target, by the channel. */
#define MESSAGE_DATA 0x64617461
#define MESSAGE_PING                                                                                                   \
	0x70696e67 /* host to target, which looks for a wish (ipc_call_wish()) then; its program does not see it */

/* How the first process ended, as init saw it, or a fork of a zygote. */
struct end {
	int32_t pid; /* in init's namespace; of the first process 0 */
	int32_t code; /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
	int32_t status; /* exit status or signal */
	uint64_t user_usec, system_usec, peak_bytes;
	uint64_t at; /* it had ended by then: ipc_now_ns() */
};

struct ended {
	struct end end;
	uint32_t seen; /* end is true */
	uint32_t why; /* enum ended_why */
	uint64_t requests, refused;
};
enum ended_why { ENDED_BY_ITSELF, ENDED_BY_HOST, ENDED_BY_WALL, ENDED_BY_VIOLATION, ENDED_BY_TRAFFIC, ENDED_BY_MEMORY };

/* Of broker to init, which is known by coming from outside of its pid namespace: nobody inside can look like that. */
#define SIGNAL_STOP SIGUSR1
#define SIGNAL_GO_ON SIGUSR2

/* Shared memory of broker, init and a starting target, gone before hostile input comes. */
enum setup_state { SETUP_NEW, SETUP_CONFINED, SETUP_FAILED, SETUP_SERVED };
struct setup {
	_Atomic uint32_t state; /* futex word */
	int32_t listener;
	int32_t pid; /* in place: the program's, whose pid namespace is the broker's */
	struct outcome outcome;
	uint32_t tolerate, given;
	uint64_t limits[LIMIT_COUNT];
	uint64_t shared;
	uint32_t nofile, umask;
	uint32_t argc, envc; /* strings after the filter: entry, arguments; environment */
	uint32_t pool;
	uint32_t late_environment; /* which is taken over once the door is closed */
	uint32_t words_len;
	uint32_t filter_len;
	char title[160];
	char cwd[4096]; /* where to begin in a root with direct trees; "": "/" */
	struct sock_filter filter[];
};

#endif
