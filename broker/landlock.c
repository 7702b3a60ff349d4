/* SPDX-License-Identifier: ISC */
/*
 * Landlock rulesets: what each ABI knows, in one table, and how permissions become its rights. Runs in the broker, which
 * restricts itself to the union of its policy, and in a target, which restricts itself to nothing at all (sandbox/).
 * No allocation: a target calls it between fork and exec.
 */
#include "broker/broker.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel headers that we build with may be older than the kernel that we meet. */
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define RULE_NET_PORT 2
#define RESTRICT_SELF_TSYNC (1U << 3)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define FS_CREATE                                                                                                      \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |            \
		LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define FS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK) /* handled, never granted */
#define FS_FILE                                                                                                        \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE |     \
		FS_IOCTL_DEV)
#define FS_ALL (LANDLOCK_ACCESS_FS_EXECUTE | FS_READ | FS_WRITE | FS_CREATE | FS_DEVICES | FS_IOCTL_DEV)

/* What an ABI understands, all at once; each row holds the ones above it. */
static const struct {
	int abi;
	struct ruleset_attr handled;
	unsigned restrict_flags;
} ladder[] = {
	{1, {FS_ALL & ~(LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV), 0, 0}, 0}, /* 5.13 */
	{2, {FS_ALL & ~(FS_TRUNCATE | FS_IOCTL_DEV), 0, 0}, 0}, /* 5.19: REFER */
	{3, {FS_ALL & ~FS_IOCTL_DEV, 0, 0}, 0}, /* 6.2: TRUNCATE */
	{4, {FS_ALL & ~FS_IOCTL_DEV, NET_BIND_TCP | NET_CONNECT_TCP, 0}, 0}, /* 6.7: TCP */
	{5, {FS_ALL, NET_BIND_TCP | NET_CONNECT_TCP, 0}, 0}, /* 6.10: IOCTL_DEV */
	{6, {FS_ALL, NET_BIND_TCP | NET_CONNECT_TCP, LANDLOCK_SCOPE_BOTH}, 0}, /* 6.12: scopes */
	{7, {FS_ALL, NET_BIND_TCP | NET_CONNECT_TCP, LANDLOCK_SCOPE_BOTH}, 0}, /* 6.15: audit flags, not used */
	{8, {FS_ALL, NET_BIND_TCP | NET_CONNECT_TCP, LANDLOCK_SCOPE_BOTH}, RESTRICT_SELF_TSYNC},
};

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t rights_of(const struct landlock_rule *rule)
{
	uint64_t rights = 0;

	/* The right to use ioctl(2) on a device is fixed when it is opened, for whoever holds the descriptor later: without it
	 * a target's isatty() on a terminal that the broker opened for it would fail. */
	if (rule->perms & PERM_R)
		rights |= FS_READ | FS_IOCTL_DEV;
	if (rule->perms & PERM_W)
		rights |= FS_WRITE | FS_IOCTL_DEV;
	if (rule->perms & PERM_X)
		rights |= LANDLOCK_ACCESS_FS_EXECUTE;
	if (rule->perms & PERM_C)
		rights |= FS_CREATE;
	if (rule->perms & PERM_LOADER)
		rights |= LANDLOCK_ACCESS_FS_READ_FILE;
	/* Asked for on something that is no directory, a directory's rights are EINVAL. */
	return rule->directory ? rights : rights & FS_FILE;
}

static int add_rule(int ruleset, const struct landlock_rule *rule, uint64_t handled)
{
	struct landlock_path_beneath_attr attr = {
		.allowed_access = rights_of(rule) & handled,
		.parent_fd = rule->fd,
	};

	if (attr.allowed_access == 0 || rule->fd < 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) == 0)
		return 0;
	/* Pipes, sockets and the like (EBADFD) are not in any file hierarchy: Landlock lets them pass anyway. */
	return errno == EBADFD ? 0 : -errno;
}

static int add_port(int ruleset, const struct landlock_port *port, uint64_t handled)
{
	const struct {
		uint64_t allowed, port;
	} attr = {(port->net & LANDLOCK_NET_BIND ? NET_BIND_TCP : 0) |
			  (port->net & LANDLOCK_NET_CONNECT ? NET_CONNECT_TCP : 0),
		port->port};

	if (attr.allowed & ~handled)
		return 0; /* free anyway */
	return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &attr, 0) == 0 ? 0 : -errno;
}

/* The row of the running kernel's ABI; a negative errno when it has no Landlock. */
static int ladder_row(void)
{
	int abi = landlock_abi(), row = sizeof(ladder) / sizeof(ladder[0]) - 1;

	if (abi <= 0)
		return errno == EOPNOTSUPP ? -EOPNOTSUPP : -ENOSYS;
	while (row > 0 && ladder[row].abi > abi)
		row--;
	return row;
}

int landlock_ruleset(const struct landlock_spec *spec)
{
	int row = ladder_row(), ret = 0;

	if (row < 0)
		return row;
	struct ruleset_attr attr = ladder[row].handled;
	if (!(spec->net & LANDLOCK_NET_BIND))
		attr.net &= ~NET_BIND_TCP;
	if (!(spec->net & LANDLOCK_NET_CONNECT))
		attr.net &= ~NET_CONNECT_TCP;
	attr.scoped &= spec->scopes;
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; ret == 0 && i < spec->count; i++)
		ret = add_rule(ruleset, &spec->rules[i], attr.fs);
	for (size_t i = 0; ret == 0 && i < spec->port_count; i++)
		ret = add_port(ruleset, &spec->ports[i], attr.net);
	if (ret < 0)
		close(ruleset);
	return ret < 0 ? ret : ruleset;
}

int landlock_restrict_ruleset(int ruleset, bool all_threads)
{
	int row = ladder_row();
	unsigned flags = row >= 0 && all_threads ? ladder[row].restrict_flags & RESTRICT_SELF_TSYNC : 0;

	if (row < 0)
		return row;
	if (all_threads && !flags)
		return -EUSERS;
	return syscall(SYS_landlock_restrict_self, ruleset, flags) != 0 ? -errno : 0;
}

int landlock_enforce(const struct landlock_spec *spec)
{
	int ruleset = landlock_ruleset(spec);

	if (ruleset < 0)
		return ruleset;
	int ret = landlock_restrict_ruleset(ruleset, spec->all_threads);
	close(ruleset);
	return ret;
}

int landlock_restrict(const struct landlock_rule *rules, size_t count, bool net, bool scopes)
{
	return landlock_enforce(&(struct landlock_spec){
		.rules = rules,
		.count = count,
		.net = net ? LANDLOCK_NET_BOTH : 0,
		.scopes = scopes ? LANDLOCK_SCOPE_BOTH : 0,
	});
}
