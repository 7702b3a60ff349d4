/* SPDX-License-Identifier: ISC */
/* What a policy is, how it is read and written, decided on and narrowed. Pure: no system calls, no globals. */
#ifndef AIRLOCK_POLICY_H
#define AIRLOCK_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PERM_R 1
#define PERM_W 2
#define PERM_X 4
#define PERM_C 8
#define PERM_D 16 /* direct: served by the kernel */
#define PERM_LOADER 32 /* regular files named *.so* may be read until the entry point is reached; no other right */

struct unveil {
	char *path; /* absolute; canonical once the host has resolved it */
	uint8_t perms;
	bool name; /* not a directory (or not there yet): stands for this name in its parent */
};

enum address_kind { ADDRESS_TCP, ADDRESS_UDP, ADDRESS_UNIX };
struct address {
	enum address_kind kind;
	bool bind; /* else connect */
	bool private_ok; /* +private */
	char *host; /* a name, "*", or NULL when net says it; for unix the path, or "@name" */
	uint8_t net[16]; /* v6, or v4-mapped */
	uint8_t prefix; /* bits of net, of 128 */
	uint16_t port_low, port_high;
};

enum policy_limit {
	LIMIT_MEMORY,
	LIMIT_CPU,
	LIMIT_WALL,
	LIMIT_PROCESSES,
	LIMIT_FILES,
	LIMIT_FILE_SIZE,
	LIMIT_CONNECTS,
	LIMIT_TRAFFIC,
	LIMIT_WEIGHT,
	LIMIT_COUNT
};
#define LIMIT_NONE UINT64_MAX

struct policy {
	uint64_t promises;
	uint64_t exec_promises; /* meaningful when exec_given */
	bool exec_given;
	bool everything; /* no unveil yet, and nothing hides what is not unveiled: in place, promises alone */
	bool locked;
	bool any_address; /* the same for addresses */
	bool kill; /* on violation */
	bool abort; /* the same by SIGABRT, as pledge(2) has it; with the promise `error` the call fails with ENOSYS instead */
	bool pledged; /* promises were pledged by the process itself: until then its first pledge may ask for anything */
	unsigned tolerate; /* AIRLOCK_LAYER_ bits */
	/* Sorted by path. One for each path, save that narrowing may leave two, the name rule first: what the path itself
	 * grants, and what lies below it. */
	struct unveil *unveils;
	size_t unveil_count;
	struct address *addresses;
	size_t address_count;
	char **env; /* NAME=VALUE or NAME */
	size_t env_count;
	uint64_t limits[LIMIT_COUNT]; /* LIMIT_NONE when not set; milliseconds and bytes */
};

#define POLICY_UNVEILS_MAX 1024
#define POLICY_ADDRESSES_MAX 256 /* also bounds what a hostile list can cost the one who intersects it */
#define POLICY_ENV_MAX 1024
#define POLICY_ENV_BYTES 32000 /* of one assignment */
#define POLICY_PATH_BYTES 4095 /* of one path */
#define POLICY_LINE_BYTES 131072 /* of one line: the longest assignment, each byte of it as an escape */

void policy_init(struct policy *p); /* nothing is allowed */
void policy_clear(struct policy *p); /* frees, and is as after policy_init() */
/* Whatever *to was is overwritten, not freed; on failure it is as after policy_init(). */
int policy_copy(struct policy *to, const struct policy *from);

/* Adds or replaces the rules for this path, whose "//", "/." and last "/" go. perms are bits; p->everything is as before.
 * -ENOMEM, -E2BIG (more than 1024), -ENAMETOOLONG, -EINVAL for a path that is not absolute or has a "..". */
int policy_unveil(struct policy *p, const char *path, unsigned perms, bool name);
/* The same for a path as somebody wrote it, which may be relative or have ".." in it and is then kept so: nothing may be
 * judged or narrowed by such a rule before it is resolved and given to policy_unveil(). Replaces the rule of the same
 * kind (name or not) only. */
int policy_unveil_raw(struct policy *p, const char *path, unsigned perms, bool name);
/* Whether path is absolute without "//", "/.", "/..", and a "/" at the end. */
bool policy_canonical(const char *path);
/* "rwxc" and "d" to bits; -EINVAL for another letter, -ENAMETOOLONG for more than 5. */
int policy_perms_parse(const char *text, unsigned *perms);
const char *policy_perms_format(unsigned perms, char buf[8]);
/* A rule in the words of the policy language, for messages: "/etc/ssl r", "tcp:example.org:443". Cut when buf is too
 * small, always terminated; buf is returned. */
const char *policy_unveil_format(const struct unveil *rule, char *buf, size_t len);
const char *policy_address_format(const struct address *rule, char *buf, size_t len);
/* "tcp:example.org:443"; error gets one line. Names become lower case. A v6 network never covers v4. */
int policy_address_add(struct policy *p, const char *text, bool bind, char *error, size_t len);
/* Adds or replaces. -EINVAL without a name, -ENAMETOOLONG, -E2BIG. */
int policy_env_add(struct policy *p, const char *assignment);
/* Whether the limit may have this value. */
bool policy_limit_fits(enum policy_limit limit, uint64_t value);
/* "512M", "10s", "200ms", "16"; -EINVAL. */
int policy_limit_parse(enum policy_limit limit, const char *text, uint64_t *value);
int policy_limit_find(const char *name); /* "memory" to LIMIT_MEMORY; -1 */
const char *policy_limit_name(enum policy_limit limit);

/* The policy language, added to p, which stays as it was on failure. Paths are taken as policy_unveil_raw() does: whoever
 * did not write the text himself with canonical paths resolves them first. error gets "line 3: unknown promise 'rpth'; did you mean 'rpath'?".
 * layer_find: word to AIRLOCK_LAYER_ bits, 0 when unknown (also "namespaces"). */
int policy_parse(struct policy *p, const char *text, unsigned (*layer_find)(const char *), char *error, size_t len);
/* The whole policy as text that policy_parse() reads back to the same policy; *out is the caller's to free. Paths with
 * blanks or control characters are written in double quotes with C escapes (policy_parse reads those anywhere).
 * State that has no word for users is written as "state everything", "state locked", "state any-address", "state pledged",
 * "unveil PATH PERMS name", and a loader rule's permission is the letter l. */
int policy_format(const struct policy *p, const char *(*layer_name)(unsigned), char **out);

/* The one function that narrows: *p becomes *p intersected with asked. What parts leaves out is unchanged; an
 * empty list means nothing. The result grants at each path and address what both grant, and no more (a name and a network
 * have nothing in common). The result has a rule at each path where either has one; "direct" and "loader" stay when both
 * say so. tolerate and env are not touched; kill, abort and pledged are set when either says so. NARROW_LOCK sets locked; that a locked
 * policy is not narrowed any more is the caller's rule. On failure *p is unchanged: -ENOMEM, -E2BIG, -EINVAL for
 * paths that are not canonical. Never widens, idempotent, same in any order. */
#define NARROW_PROMISES 1
#define NARROW_EXEC 2
#define NARROW_UNVEILS 4
#define NARROW_ADDRESSES 8
#define NARROW_LIMITS 16
#define NARROW_LOCK 32
int policy_narrow(struct policy *p, const struct policy *asked, unsigned parts);

/* The most specific rule at or above path (canonical, absolute), or NULL: O(depth * log rules). A `name` rule covers
 * its own path alone. */
const struct unveil *policy_find(const struct policy *p, const char *path);
/* Whether any rule lies strictly below path. */
bool policy_below(const struct policy *p, const char *path);
/* The perms that path itself has, and those of what lies below it and has no nearer rule. */
unsigned policy_perms_at(const struct policy *p, const char *path);
unsigned policy_perms_below(const struct policy *p, const char *path);
/* 0, -ENOENT (hidden), -EACCES (visible, too few permissions). need of 0: only visible. *rule may be NULL. */
int policy_judge(const struct policy *p, const char *path, unsigned need, const struct unveil **rule);
/* Whether anything may be executed from inside. */
bool policy_executes(const struct policy *p);
/* 0, or -EPERM and the first promise missing of need. */
int policy_promised(const struct policy *p, uint64_t need, unsigned *missing);
/* 0, -EACCES. address: v6 or v4-mapped bytes. Rules with a host name never match here; see broker names. */
int policy_judge_address(
	const struct policy *p, enum address_kind kind, bool bind, const uint8_t ip[16], uint16_t port);
/* The rule that says so, or NULL where there is none (also with p->any_address). */
const struct address *policy_address_rule(
	const struct policy *p, enum address_kind kind, bool bind, const uint8_t ip[16], uint16_t port);
/* Whether the rule is for a host by name. */
bool policy_address_is_name(const struct address *a);
/* public.c: whether the address (v6, or v4-mapped) is globally reachable unicast; and what it is when it is not, else NULL. */
bool policy_address_public(const uint8_t ip[16]);
const char *policy_address_special(const uint8_t ip[16]);
/* Whether any rule is, to connect or bind. */
bool policy_has_names(const struct policy *p);
int policy_judge_unix(const struct policy *p, bool bind, const char *path_or_name);
/* Whether a local socket at path (canonical) is that of a service, which only a rule of its own reaches; and whether a
 * directory at path may hold such sockets, at any depth. services.c */
bool policy_service(const char *path);
bool policy_services_below(const char *path);

/* The nearest of words (NULL terminated) to word by edit distance, or NULL when none is near. */
const char *policy_nearest(const char *word, const char *const *words);
#endif
