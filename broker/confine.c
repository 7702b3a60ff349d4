/* SPDX-License-Identifier: ISC */
/*
 * The broker's own door: what the process that reads hostile bytes may do if those bytes take it over: its capabilities and
 * its Landlock domain, with the rulesets of its targets; its filter is calls.c. Runs in the broker, once, before it has
 * threads, targets or requests. Domain and filter are inherited by every target (and by the init of each), so both must let
 * through what any target of this policy may do by itself.
 */
#include "broker/broker.h"
#include "broker/resolver.h"
#include "broker/socket.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- capabilities ---- */

#define CAP(c) (UINT64_C(1) << CAP_##c)

int broker_capabilities(uint64_t keep)
{
	cap_t caps = cap_get_proc();
	cap_value_t drop[64];
	int count = 0, r = 0;

	if (!caps)
		return -ENOMEM;
	cap_flag_value_t can_bound = CAP_CLEAR;
	cap_get_flag(caps, CAP_SETPCAP, CAP_EFFECTIVE, &can_bound);
	/* cap_max_bits() is not known yet where a static program's constructors run in the order of its libraries. */
	for (cap_value_t c = 0; c < 64 && cap_get_bound(c) >= 0; c++) {
		if (keep & UINT64_C(1) << c)
			continue;
		drop[count++] = c;
		/* Without CAP_SETPCAP the bounding set stays; no_new_privs makes it idle. */
		if (can_bound == CAP_SET && cap_drop_bound(c) < 0)
			r = -errno;
	}
	if (cap_set_flag(caps, CAP_EFFECTIVE, count, drop, CAP_CLEAR) < 0 ||
		cap_set_flag(caps, CAP_PERMITTED, count, drop, CAP_CLEAR) < 0 ||
		cap_set_flag(caps, CAP_INHERITABLE, count, drop, CAP_CLEAR) < 0 || cap_set_proc(caps) < 0)
		r = -errno;
	cap_free(caps);
	return r;
}

/* What is left after the nursery is made. SYS_ADMIN makes pid namespaces; it, SYS_CHROOT and SETPCAP are what a worker
 * enters the nursery with and locks its securebits; SYS_PTRACE reads targets that are not dumpable; SYS_RESOURCE
 * sets their limits. The file capabilities are there only when the host had them, and let the broker open what the
 * host could. */
static uint64_t capabilities_needed(const struct broker *b)
{
	uint64_t keep = CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(CHOWN) | CAP(FSETID) |
			CAP(SYS_PTRACE) | CAP(SYS_RESOURCE);

	if (!b->in_place)
		return keep | CAP(SYS_ADMIN) | CAP(SYS_CHROOT) | CAP(SETPCAP);
	/* The second carrier's signals are sent by us, and SIGKILL where SIGABRT did not do, to whatever user the program
	 * became. */
	if (b->trap || b->policy.abort)
		keep |= CAP(KILL);
	for (size_t i = 0; i < b->policy.address_count; i++)
		if (b->policy.addresses[i].bind)
			keep |= CAP(NET_BIND_SERVICE);
	if (b->policy.any_address && b->policy.promises & PROMISE_BIT(inet))
		keep |= CAP(NET_BIND_SERVICE);
	if (b->identities)
		keep |= CAP(SETUID) | CAP(SETGID) | CAP(KILL);
	return keep;
}

/* ---- Landlock ---- */

struct rules {
	struct landlock_rule *list;
	size_t count;
	int *fds; /* to close */
	size_t fd_count;
};

static void rules_release(struct rules *rules)
{
	for (size_t i = 0; i < rules->fd_count; i++)
		close(rules->fds[i]);
	free(rules->fds);
	free(rules->list);
}

static void rule_add(struct rules *rules, int fd, bool directory, unsigned perms)
{
	if (fd >= 0 && perms)
		rules->list[rules->count++] = (struct landlock_rule){fd, directory, perms};
}

static void rule_add_path(struct rules *rules, int base, const char *path, unsigned perms)
{
	struct stat st;
	int fd = openat(base, path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return;
	rules->fds[rules->fd_count++] = fd;
	if (fstat(fd, &st) == 0)
		rule_add(rules, fd, S_ISDIR(st.st_mode), perms);
}

/* A name rule may make, replace and remove its name, which Landlock can only allow for the whole directory; and what
 * comes to bear the name is another object than the one that bears it now. So with `c` the rule is the directory's, and
 * within it only the decision of policy/ keeps the broker to the name. Without `c` it is the one object's. */
static void rule_add_name(struct rules *rules, const struct anchor *a, unsigned perms)
{
	struct stat st;

	/* What is executed is handed to the target open for reading. */
	perms |= perms & PERM_X ? PERM_R : 0u;
	if (perms & PERM_C) {
		rule_add(rules, a->fd, true, perms);
		return;
	}
	int fd = openat(a->fd, a->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	rules->fds[rules->fd_count++] = fd;
	if (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode))
		rule_add(rules, fd, S_ISDIR(st.st_mode), perms);
}

/* Where a local socket may be bound by a rule of its own, its name is made. */
static void rule_add_bind(struct rules *rules, int root, const struct address *a)
{
	char directory[POLICY_PATH_BYTES + 1];

	if (a->kind != ADDRESS_UNIX || !a->bind || a->host[0] != '/' || strlen(a->host) > POLICY_PATH_BYTES)
		return;
	strcpy(directory, a->host);
	*strrchr(directory, '/') = 0;
	rule_add_path(rules, root, directory[0] ? directory + 1 : ".", PERM_C);
}

/* In place without an unveil: the whole file system, as far as the promises use it. */
static unsigned perms_of_promises(uint64_t promises)
{
	static const struct {
		uint64_t promises;
		unsigned perms;
	} map[] = {
		{PROMISE_BIT(rpath) | PROMISE_BIT(ps) | PROMISE_BIT(vminfo), PERM_R},
		{PROMISE_BIT(wpath), PERM_W},
		{PROMISE_BIT(cpath) | PROMISE_BIT(dpath) | PROMISE_BIT(unix), PERM_C},
		{PROMISE_BIT(exec), PERM_R | PERM_X},
	};
	unsigned perms = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (promises & map[i].promises)
			perms |= map[i].perms;
	return perms;
}

#define PROMISES_NETWORK                                                                                               \
	(PROMISE_BIT(inet) | PROMISE_BIT(unix) | PROMISE_BIT(dns) | PROMISE_BIT(getpw) | PROMISE_BIT(route) |          \
		PROMISE_BIT(wroute))

uint64_t promises_all(const struct policy *p)
{
	return p->promises | (p->exec_given ? p->exec_promises : 0);
}

bool needs_network(const struct policy *p, uint64_t promises)
{
	return p->address_count > 0 || promises & PROMISES_NETWORK;
}

bool broker_makes_sockets(const struct policy *p)
{
	const uint64_t beyond = PROMISE_BIT(inet) | PROMISE_BIT(dns) | PROMISE_BIT(route) | PROMISE_BIT(wroute);
	return (promises_all(p) & beyond) || local_beyond(p);
}

#define PORTS 1024

/* The ports that rules about TCP name, and that of nameservers; what of it Landlock is to handle is returned: nothing where
 * any address may be meant, or where there are too many to list. */
static unsigned tcp_ports(const struct policy *p, struct landlock_port ports[PORTS], size_t *count)
{
	unsigned handled = p->any_address && needs_network(p, promises_all(p)) ? 0 : LANDLOCK_NET_BOTH;
	*count = 0;
	/* Of names, the resolver's, in place. */
	if ((promises_all(p) & PROMISE_BIT(dns)) || policy_has_names(p))
		ports[(*count)++] = (struct landlock_port){53, LANDLOCK_NET_CONNECT};
	if (promises_all(p) & (PROMISE_BIT(dns) | PROMISE_BIT(inet)))
		ports[(*count)++] = (struct landlock_port){
			0, LANDLOCK_NET_BIND}; /* any that is free: see as_if_unbound() */
	for (size_t i = 0; i < p->address_count && handled; i++) {
		const struct address *a = &p->addresses[i];
		const unsigned net = a->bind ? LANDLOCK_NET_BIND : LANDLOCK_NET_CONNECT;
		if (a->kind != ADDRESS_TCP || !(handled & net))
			continue;
		if ((size_t)(a->port_high - a->port_low) >= PORTS - *count)
			handled &= ~net;
		else
			for (unsigned port = a->port_low; port <= a->port_high; port++)
				ports[(*count)++] = (struct landlock_port){(uint16_t)port, net};
	}
	return handled;
}

int broker_landlock(struct broker *b, const struct landlock_rule *extra, size_t extra_count)
{
	const struct policy *p = &b->policy;
	struct rules rules = {calloc(p->unveil_count + p->address_count + extra_count + INTERPRETERS_MAX + LIBC_FILES +
					      RESOLVER_PATHS + 8,
				      sizeof(struct landlock_rule)),
		0, calloc(p->unveil_count + p->address_count + RESOLVER_PATHS + 8, sizeof(int)), 0};
	struct landlock_port *ports = calloc(PORTS, sizeof(*ports));
	/* Signals: a broker in place must be able to end its program, which is not below it. */
	struct landlock_spec spec = {.scopes = LANDLOCK_SCOPE_BOTH};
	int r = -ENOMEM;

	if (!rules.list || !rules.fds || !ports)
		goto out;
	/* What the host may answer is any address. */
	if (!b->asks || !(promises_all(p) & PROMISE_BIT(inet)))
		spec.net = tcp_ports(p, ports, &spec.port_count);
	spec.ports = ports;
	if (b->in_place)
		spec.scopes &= ~LANDLOCK_SCOPE_SIGNALS;
	if (local_beyond(p))
		spec.scopes &= ~LANDLOCK_SCOPE_ABSTRACT;
	for (size_t i = 0; i < p->unveil_count; i++) {
		const struct anchor *a = &b->anchors[i];

		if (a->fd < 0)
			continue;
		if (a->name)
			rule_add_name(&rules, a, p->unveils[i].perms);
		else
			rule_add(&rules, a->fd, true,
				p->unveils[i].perms | (p->unveils[i].perms & PERM_X ? PERM_R : 0u));
	}
	if (p->everything)
		rule_add(&rules, b->root, true, perms_of_promises(p->promises));
	if (p->promises & PROMISE_BIT(tmppath))
		rule_add_path(&rules, b->root, "tmp", PERM_R | PERM_W | PERM_C);
	if (p->promises & PROMISE_BIT(tty))
		rule_add_path(&rules, b->root, "dev/tty", PERM_R | PERM_W);
	for (size_t i = 0; i < p->address_count; i++)
		rule_add_bind(&rules, b->root, &p->addresses[i]);
	/* Its resolver is born inside. */
	for (size_t i = 0; b->in_place && policy_has_names(p) && i < RESOLVER_PATHS; i++)
		rule_add_path(&rules, b->root, resolver_path(i) + 1, PERM_LOADER);
	for (size_t i = 0; i < b->interpreter_count; i++)
		rule_add(&rules, b->interpreters[i].fd, false, PERM_R | PERM_X);
	rules.count += libc_files_rules(b, rules.list + rules.count);
	for (size_t i = 0; i < extra_count; i++)
		rules.list[rules.count++] = extra[i];
	spec.rules = rules.list;
	spec.count = rules.count;
	r = landlock_enforce(&spec);
out:
	free(ports);
	rules_release(&rules);
	return r;
}

static void rule_add_executable(struct rules *rules, const struct unveil *rule, const struct anchor *a)
{
	const unsigned run = PERM_R | PERM_X;

	if (!(rule->perms & PERM_X) || a->fd < 0)
		return;
	if (rule->name)
		rule_add_path(rules, a->fd, a->name, run);
	else
		rule_add(rules, a->fd, true, run);
}

int broker_target_ruleset(struct broker *b, unsigned scopes, const struct landlock_rule *extra, size_t extra_count)
{
	const struct policy *p = &b->policy;
	struct rules rules = {
		calloc(p->unveil_count + extra_count + INTERPRETERS_MAX + 1, sizeof(struct landlock_rule)), 0,
		calloc(p->unveil_count + 1, sizeof(int)), 0};
	struct landlock_spec spec = {.net = LANDLOCK_NET_BOTH, .scopes = scopes};
	int r = -ENOMEM;

	if (!rules.list || !rules.fds)
		goto out;
	if (policy_executes(p)) {
		for (size_t i = 0; i < p->unveil_count; i++)
			rule_add_executable(&rules, &p->unveils[i], &b->anchors[i]);
		if (p->everything)
			rule_add(&rules, b->root, true, PERM_R | PERM_X);
	}
	for (size_t i = 0; i < b->interpreter_count; i++)
		rule_add(&rules, b->interpreters[i].fd, false, PERM_R | PERM_X);
	for (size_t i = 0; i < extra_count; i++)
		rules.list[rules.count++] = extra[i];
	spec.rules = rules.list;
	spec.count = rules.count;
	r = landlock_ruleset(&spec);
out:
	rules_release(&rules);
	return r;
}

int broker_confine(struct broker *b, const struct landlock_rule *extra, size_t extra_count, bool landlock)
{
	identity_begin(b);
	int r = broker_capabilities(capabilities_needed(b));

	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && landlock)
		r = broker_landlock(b, extra, extra_count);
	/* Without Landlock in the kernel the targets' layer is missing, too, and their start says so, or it is tolerated. */
	if (r == -ENOSYS || r == -EOPNOTSUPP)
		r = 0;
	if (r == 0)
		r = calls_restrict(b, promises_all(&b->policy));
	b->confined = r == 0;
	return r;
}
