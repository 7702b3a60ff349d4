/* SPDX-License-Identifier: ISC */
/*
 * What confines the broker itself and its targets' Landlock domains, and the small processes that keep what it gives up. A part
 * of broker.h, which includes it after the structures that this speaks of.
 */
#ifndef AIRLOCK_DOOR_H
#define AIRLOCK_DOOR_H

#ifndef AIRLOCK_BROKER_H
#error "include broker/broker.h"
#endif

/* ---- landlock.c ---- */
int landlock_abi(void); /* 0 when there is none */
struct landlock_rule {
	int fd; /* O_PATH */
	bool directory;
	unsigned perms; /* PERM_ bits; PERM_X with PERM_R adds reading and executing */
};
/* Restricts the calling thread: all file rights the ABI knows are handled, rules allow; net: TCP handled with none
 * allowed; scopes as the ABI has. -ENOSYS, -EOPNOTSUPP when the kernel has none. */
int landlock_restrict(const struct landlock_rule *rules, size_t count, bool net, bool scopes);
/* The same, said in full. -EUSERS: all_threads is asked for and the kernel cannot (ABI 8). */
#define LANDLOCK_SCOPE_ABSTRACT 1u
#define LANDLOCK_SCOPE_SIGNALS 2u
#define LANDLOCK_SCOPE_BOTH 3u
#define LANDLOCK_NET_BIND 1u
#define LANDLOCK_NET_CONNECT 2u
#define LANDLOCK_NET_BOTH 3u
struct landlock_port {
	uint16_t port;
	unsigned net; /* LANDLOCK_NET_ bits */
};
struct landlock_spec {
	const struct landlock_rule *rules;
	size_t count;
	unsigned net; /* LANDLOCK_NET_ bits: of TCP, what is handled, and then allowed to these ports alone */
	const struct landlock_port *ports;
	size_t port_count;
	bool all_threads;
	unsigned scopes; /* LANDLOCK_SCOPE_ bits, as far as the ABI has them */
};
int landlock_enforce(const struct landlock_spec *spec);
/* The two halves of it, for a ruleset that one process makes and another enters: a descriptor, close-on-exec (that of
 * all_threads is not looked at); and to enter it. */
int landlock_ruleset(const struct landlock_spec *spec);
int landlock_restrict_ruleset(int ruleset, bool all_threads);

/* ---- opener.c: names without `c`, whatever bears them ---- */
/* Forks it if there are such rules. After the anchors, before confinement, by a process with one thread. */
bool opener_needed(const struct broker *b); /* there is something to open */
int opener_start(struct broker *b, const char *name);
/* A descriptor of what bears the name now, opened non-blocking; a negative errno. */
int opener_open(struct broker *b, const struct unveil *rule, int flags);

/* ---- binder.c: ports below net.ipv4.ip_unprivileged_port_start ---- */
/* Forks it if rules say so and the process may, while it still may: before it enters a user namespace. */
int binder_start(struct broker *b, const char *name);
/* What bind(2) says there; -EACCES when there is no binder, or it finds no rule in numbers. */
struct sockaddr;
int binder_bind(struct broker *b, int fd, const struct sockaddr *to, unsigned len);

/* ---- calls.c ---- */
/* From here on the broker can call only what it does for these promises, and what its targets may call. */
int calls_restrict(struct broker *b, uint64_t promises);
/* The same for a fork that serves it: these calls, or death. */
int calls_only(const int *calls, size_t count);
/* No process of its one family has any other promise left: the broker needs no more either. All threads at once. */
int broker_shrink(struct broker *b, uint64_t promises);
/* ---- confine.c ---- */
/* Also those of programs that are executed. */
uint64_t promises_all(const struct policy *p);
bool needs_network(const struct policy *p, uint64_t promises);
/* Whether targets in an empty network may use sockets that are not in it. */
bool broker_makes_sockets(const struct policy *p);
/* The broker confines itself: capabilities, no_new_privs, Landlock to the union of the policy (plus extra rules: the
 * loader's files), seccomp. landlock says whether the Landlock part can be had. Before any thread or family exists. */
int broker_confine(struct broker *b, const struct landlock_rule *extra, size_t extra_count, bool landlock);
/* The Landlock ruleset of its targets, below all else that confines them: what the kernel may do on their own call, which
 * is to execute what has `x`, and extra (the program, its interpreter, direct trees). A descriptor, or a negative errno. */
int broker_target_ruleset(struct broker *b, unsigned scopes, const struct landlock_rule *extra, size_t extra_count);
/* Its Landlock part alone, for a program that enters its broker's domain before the broker is born. */
int broker_landlock(struct broker *b, const struct landlock_rule *extra, size_t extra_count);
/* Drops every capability but these (bits), from the bounding set too as far as CAP_SETPCAP is there. */
int broker_capabilities(uint64_t keep);
#endif
