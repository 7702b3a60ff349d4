/* SPDX-License-Identifier: ISC */
/*
 * What the files of this folder share. Who runs where:
 *   host      policy.c spawn.c start.c target.c prewarm.c probe.c message.c   in the application
 *   broker    role_broker.c broker_grants.c children.c broker_in_place.c       in the image executed again
 *             user.c nursery.c direct.c direct_root.c, starter.c up to its fork
 *   init      starter.c (after its fork)                                      pid 1 of a target's pid namespace
 *   target    starter.c (pid 2, until exec) role_target.c layers.c            what is confined
 *   in place  in_place.c layers.c                                             the application, confining itself
 */
#ifndef AIRLOCK_SANDBOX_H
#define AIRLOCK_SANDBOX_H

#include "broker/broker.h"
#include "ipc/ipc.h"
#include "policy/policy.h"
#include "sandbox/airlock.h"
#include "sandbox/protocol.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* ---- message.c ---- */
/* Sets this thread's message and returns error, so that "return fail(...)" reads well. */
int fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- policy.c ---- */
struct broker_handle;
struct airlock_policy {
	struct policy p;
	struct {
		int fd, as;
	} pass[PASS_MAX];
	size_t pass_count;
	int log;
	pthread_mutex_t lock; /* handle: the only part that changes under a const policy */
	struct broker_handle *handle; /* of the policy as it stands; let go when the policy changes */
};
unsigned layer_find(const char *word);

/* ---- spawn.c ---- */
/* A running broker, shared by a policy and the targets it started. */
struct broker_handle {
	atomic_uint references;
	int control;
	pid_t pid;
	unsigned layers;
	char note[400]; /* what of the policy is served otherwise than asked, or "" */
	uint64_t program_dev, program_ino; /* exec: the program that its Landlock domain lets through */
};
/* What a broker is told at its birth. */
struct broker_birth {
	const struct airlock_policy *policy;
	bool in_place;
	int program; /* exec: O_PATH descriptor, else -1 */
	const char *program_path;
	int setup; /* in place: the setup memory, else -1 */
	uint64_t empty_string;
};
int broker_spawn(struct broker_handle **out, const struct broker_birth *birth);
void broker_handle_free(struct broker_handle *h);
/* Remembers the image and the name; called by airlock_init(). */
int image_remember(int argc, char **argv);
/* The calling process' umask, without the moment of another one that asking umask(2) means for other threads. */
mode_t umask_now(void);
/* Variables that the image needs to be loaded again: the loader's own and those of sanitizer runtimes. */
extern const char *const image_environment[];

/* The descriptor of the image, for Landlock rules. */
int image_fd(void);

/* ---- broker_grants.c: what a broker's Landlock domain lets through besides the policy ---- */
/* What loaders read, as PERM_LOADER rules: into a policy that lets programs be executed, before it gets anchors. */
void loader_rules(struct policy *p);
#define LANDLOCK_EXTRA_MAX 256
struct landlock_extra {
	struct landlock_rule rules[LANDLOCK_EXTRA_MAX];
	size_t count;
};
/* The image and what the loader mapped of it: it is executed again inside the domain. */
void extra_image(struct landlock_extra *x, int image);
/* The directories that a program's loader searches. */
void extra_libraries(struct landlock_extra *x);
void extra_interpreters(struct landlock_extra *x); /* ELF's */
void extra_descriptor(struct landlock_extra *x, int fd, unsigned perms); /* fd stays the caller's */
void extra_close(struct landlock_extra *x);

/* ---- init.c ---- */
extern struct airlock_symbol *symbols;
const struct airlock_symbol *symbol_find(const char *name);

/* ---- role_broker.c, role_target.c: what airlock_init() becomes ---- */
_Noreturn void role_broker(void);
_Noreturn void role_target(void);

/* ---- starter.c: broker's side of starting ---- */
struct nursery;
struct starting {
	const struct start *start;
	const char *words; /* start->words_len bytes: entry, arguments, environment */
	struct setup *setup; /* mapped, shared */
	int setup_fd, call, channel, cwd, image, program;
	int stdio[3];
	int pass[PASS_MAX];
	const struct nursery *nursery;
	bool pid_namespace;
	int ruleset; /* the Landlock ruleset that the target enters, or -1 */
	int init; /* init's end of the socket to the broker */
	const char *name;
};
/* Forks init, which starts the target. Returns init's pid and pidfd. */
int starter_fork(const struct starting *s, pid_t *pid, int *pidfd);

/* ---- a small target.c / start.c share ---- */
struct airlock_target {
	struct broker_handle *broker; /* NULL inside the target itself */
	int status; /* to the broker */
	int channel; /* between host and target */
	int poll; /* epoll of both */
	int call_fd;
	struct ipc_call *call;
	size_t shared;
	char name[64];
	bool ended, lost;
	unsigned layers;
	struct ended end;
	uint64_t refused;
	char (*refusals)[320];
	unsigned refusal_count;
	bool violated;
	uint64_t limits[LIMIT_COUNT];
};
int target_new(struct airlock_target **out, int status, int channel, int call_fd, size_t shared);

#endif
