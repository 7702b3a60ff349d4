/* SPDX-License-Identifier: ISC */
/* Owns extended attributes: the calls by path, the l- and -at kinds of them, and fsetxattr. They take no O_PATH
 * descriptor, so the object that was judged is named by the broker's own link to it in /proc. Reading shows what the
 * kernel shows; set and removed are user attributes, and ACLs, which are modes in other words. Runs in the broker, on the
 * target's strings. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ARGS_MIN 16 /* struct xattr_args as first published, 6.13 */
#define ARGS_MAX 4096

struct call {
	char name[XATTR_NAME_MAX + 1];
	uint64_t value; /* address */
	size_t size;
	unsigned flags;
};

static bool is_at(const struct request *r)
{
	return r->op->dirfd[0] >= 0;
}

/* getxattrat and setxattrat point to the rest of their arguments. */
static int read_args(const struct request *r, uint64_t address, uint64_t size, struct call *c)
{
	union {
		struct {
			uint64_t value;
			uint32_t size, flags;
		};
		char bytes[ARGS_MAX];
	} in;
	if (size < ARGS_MIN)
		return -EINVAL;
	if (size > ARGS_MAX)
		return -E2BIG;
	int e = memory_read(r, address, &in, (size_t)size);
	if (e < 0)
		return e;
	for (size_t i = ARGS_MIN; i < size; i++)
		if (in.bytes[i])
			return -E2BIG;
	c->value = in.value;
	c->size = in.size;
	c->flags = in.flags;
	return 0;
}

/* Where the arguments of the four kinds are: named says whether there is a name before the value. */
static int read_call(const struct request *r, bool named, bool valued, struct call *c)
{
	size_t at = is_at(r) ? 3 : 1;
	int e = 0;
	memset(c, 0, sizeof(*c));
	if (is_at(r) && (r->flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	if (is_at(r) && named && valued) {
		e = read_args(r, r->args[4], r->args[5], c);
	} else if (valued) {
		c->value = r->args[at + named];
		c->size = (size_t)r->args[at + named + 1];
		c->flags = named ? (unsigned)r->args[at + named + 2] : 0;
	}
	ssize_t n = e == 0 && named ? memory_read_string(r, r->args[at], c->name, sizeof(c->name)) : 1;
	if (e == 0 && n <= 0)
		e = n == 0 || n == -ENAMETOOLONG ? -ERANGE : (int)n;
	/* What was read is the caller's if it still lives. */
	return e < 0 ? e : request_alive(r) ? 0 : -EPERM;
}

static int subject_to_read(struct request *r, struct subject *o)
{
	return subject_open(r, 0, r->flags, PERM_R, PROMISE_BIT(rpath), o);
}

static struct answer give(struct request *r, const struct call *c, const void *bytes, ssize_t n)
{
	int e = n <= 0 || c->size == 0 ? 0 : memory_write(r, c->value, bytes, (size_t)n);
	return e < 0 ? answer_error(-e) : n < 0 ? answer_error((int)-n) : answer_value(n);
}

struct answer op_getxattr(struct request *r)
{
	char name[SUBJECT_NAME], value[XATTR_SIZE_MAX];
	struct subject o;
	struct call c;
	int e = read_call(r, true, true, &c);
	if (e < 0 || (is_at(r) && c.flags))
		return answer_error(e < 0 ? -e : EINVAL);
	e = subject_to_read(r, &o);
	if (e < 0)
		return answer_error(-e);
	subject_name(&o, name);
	ssize_t n = getxattr(name, c.name, value, c.size < sizeof(value) ? c.size : sizeof(value));
	n = n < 0 ? -errno : n;
	subject_close(&o);
	return give(r, &c, value, n);
}

struct answer op_listxattr(struct request *r)
{
	char name[SUBJECT_NAME], list[XATTR_LIST_MAX];
	struct subject o;
	struct call c;
	int e = read_call(r, false, true, &c);
	if (e == 0)
		e = subject_to_read(r, &o);
	if (e < 0)
		return answer_error(-e);
	subject_name(&o, name);
	ssize_t n = listxattr(name, list, c.size < sizeof(list) ? c.size : sizeof(list));
	n = n < 0 ? -errno : n;
	subject_close(&o);
	return give(r, &c, list, n);
}

/* Capabilities, labels, and what file systems stacked on this one believe: never. */
static int may_set(struct request *r, const char *name)
{
	if (strncmp(name, "user.", 5) == 0 || strcmp(name, "system.posix_acl_access") == 0 ||
		strcmp(name, "system.posix_acl_default") == 0)
		return 0;
	static const char *const kinds[] = {"security.", "trusted.", "system."};
	bool known = false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !known; i++)
		known = strncmp(name, kinds[i], strlen(kinds[i])) == 0;
	if (!known)
		return -EOPNOTSUPP; /* as of a kind that the file system does not have */
	r->why = "of the attributes only user.* and ACLs can be set";
	return -EPERM;
}

static int subject_to_change(struct request *r, struct subject *o)
{
	if (r->op->path[0] >= 0)
		return subject_open(r, 0, r->flags, PERM_W, PROMISE_BIT(fattr) | PROMISE_BIT(rpath), o);
	*o = (struct subject){.fd = -1};
	int e = promised(r, PROMISE_BIT(fattr));
	if (e == 0)
		e = subject_descriptor(r, (int)r->args[0], PERM_W, o);
	return e == 0 && (fcntl(o->fd, F_GETFL) & O_PATH) ? -EBADF : e;
}

struct answer op_setxattr(struct request *r)
{
	char name[SUBJECT_NAME], value[XATTR_SIZE_MAX];
	struct subject o = {.fd = -1};
	struct call c;
	int e = read_call(r, true, true, &c);
	if (e == 0 && (c.flags & ~(unsigned)(XATTR_CREATE | XATTR_REPLACE)))
		e = -EINVAL;
	if (e == 0 && c.size > sizeof(value))
		e = -E2BIG;
	if (e == 0)
		e = memory_read(r, c.value, value, c.size);
	if (e == 0 && !request_alive(r))
		e = -EPERM;
	if (e == 0)
		e = subject_to_change(r, &o);
	if (e == 0)
		e = may_set(r, c.name);
	if (e == 0) {
		subject_name(&o, name);
		e = setxattr(name, c.name, value, c.size, (int)c.flags) < 0 ? -errno : 0;
	}
	subject_close(&o);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

struct answer op_removexattr(struct request *r)
{
	char name[SUBJECT_NAME];
	struct subject o = {.fd = -1};
	struct call c;
	int e = read_call(r, true, false, &c);
	if (e == 0)
		e = subject_to_change(r, &o);
	if (e == 0)
		e = may_set(r, c.name);
	if (e == 0) {
		subject_name(&o, name);
		e = removexattr(name, c.name) < 0 ? -errno : 0;
	}
	subject_close(&o);
	return e < 0 ? answer_error(-e) : answer_value(0);
}
