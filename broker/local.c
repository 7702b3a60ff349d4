/* SPDX-License-Identifier: ISC */
/*
 * This file owns local (AF_UNIX) names: sockets in the file system, which the unveiled paths decide about (to connect
 * takes `w`, to bind `c`), and those that only a rule of their own allows: abstract ones, which no path stands for, and
 * those of services, which are the classic way out. It runs in the broker. A socket is opened O_PATH in the walk that judged it and connected by that descriptor, so that what
 * is swapped in between is never reached.
 */
#include "broker/socket.h"
#include "policy/promises.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_AT offsetof(struct sockaddr_un, sun_path)
#define NAME_MAX_LOCAL (sizeof(((struct sockaddr_un *)0)->sun_path)) /* without a NUL behind it */

static const char log_socket[] = "/dev/log";
static const char *const name_services[] = {"/run/nscd/socket", "/var/run/nscd/socket"};

/* Both names of the directory mean the same, and either is what programs are built with. */
static const char *plain(const char *path)
{
	return strncmp(path, "/var/run/", 9) == 0 ? path + 4 : path;
}

/* The rule for this path or "@name", also where any address is allowed: abstract names are none of those. */
static bool by_rule(struct request *r, bool bind, const char *text)
{
	const struct policy *p = policy_of(r);
	for (size_t i = 0; i < p->address_count; i++) {
		const struct address *a = &p->addresses[i];
		if (a->kind == ADDRESS_UNIX && a->bind == bind && strcmp(plain(a->host), plain(text)) == 0) {
			r->rule = a;
			return true;
		}
	}
	return false;
}

bool local_beyond(const struct policy *p)
{
	for (size_t i = 0; i < p->address_count; i++)
		if (p->addresses[i].kind == ADDRESS_UNIX && p->addresses[i].host[0] == '@')
			return true;
	return false;
}

/* "unix:" and the name, for reports. */
static void describe(struct request *r, const char *path, const char *name, size_t len)
{
	if (path) {
		snprintf(r->address, sizeof(r->address), "unix:%.150s", path);
		return;
	}
	size_t at = (size_t)snprintf(r->address, sizeof(r->address), "unix:@");
	for (size_t i = 0; i < len && at + 2 < sizeof(r->address); i++)
		r->address[at++] = name[i] ? name[i] : '@'; /* as ss(8) shows them */
	r->address[at] = 0;
}

static int abstract(struct request *r, const struct name *n, enum use use)
{
	char text[1 + NAME_MAX_LOCAL + 1] = "@";
	size_t len = n->len - NAME_AT > 0 ? n->len - NAME_AT - 1 : 0;
	const char *name = n->to.local.sun_path + 1;
	int e = promised(r, PROMISE_BIT(unix));
	describe(r, NULL, name, len);
	if (e < 0)
		return e;
	memcpy(text + 1, name, len);
	if (len && strlen(text + 1) == len && by_rule(r, use == USE_BIND, text))
		return 0;
	r->missing_address = use == USE_BIND ? MISSING_BIND : MISSING_CONNECT;
	return -EACCES;
}

/* Whoever listens sees the broker's ids in place of the caller's. They are the same unless the caller has changed its
 * own; then it must not get what the broker's would get it. */
static int same_user(struct request *r)
{
	struct credentials c;
	int e = credentials_of(r, &c);
	if (e == 0 && (c.uid != geteuid() || c.gid != getegid())) {
		r->why = "its user is not the broker's any more";
		e = -EACCES;
	}
	return e;
}

/* What a rule of its own names, whatever is unveiled. Links are followed where the target can put none. */
static int open_ruled(const struct request *r, const char *path)
{
	const struct broker *b = r->family->broker;
	const struct policy *p = policy_of(r);
	int fd = open_beneath(b->root, path + 1, O_PATH, 0, 0);
	bool makes = p->everything && (p->promises & PROMISE_BIT(cpath));
	for (size_t i = 0; i < p->unveil_count; i++)
		makes = makes || (p->unveils[i].perms & PERM_C);
	if (fd != -ELOOP || makes)
		return fd;
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	fd = (int)syscall(SYS_openat2, b->root, path + 1, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* syslog(3): the one socket that stdio gives. Opened anew each time, since its daemon may have been restarted. */
static int open_log(const struct request *r)
{
	struct stat st;
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, r->family->broker->root, log_socket + 1, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		close(fd);
		return -ECONNREFUSED;
	}
	return fd;
}

/* The sockets of services are not reached by what shows their directory. Where nobody could name an address in a rule (a
 * process that only pledged and unveiled), the socket's own unveil stands for one. */
static bool reached(struct request *r, const struct place *p, const char *path)
{
	const struct policy *policy = policy_of(r);
	if (policy->everything || !policy_service(p->path) || by_rule(r, false, path) || by_rule(r, false, p->path))
		return true;
	if (policy->any_address && p->rule && strcmp(p->rule->path, p->path) == 0)
		return true;
	describe(r, p->path, NULL, 0);
	r->missing_address = MISSING_CONNECT;
	return false;
}

static int open_path(struct request *r, char *path)
{
	struct place p = {.base = -1};
	r->path[0] = path;
	r->dirfd[0] = AT_FDCWD;
	int fd = resolve_open(r, 0, 0, PERM_W, O_PATH, 0, &p), e = 0;
	r->path[0] = NULL;
	r->unveiled = fd >= 0 ? p.rule : NULL;
	if (fd >= 0)
		place_close(&p);
	if (fd >= 0 && p.proc)
		return -ECONNREFUSED;
	if (fd >= 0 && loader_only(p.rule))
		e = -ENOENT;
	else if (fd >= 0 && S_ISSOCK(p.st.st_mode) && !reached(r, &p, path))
		e = -EACCES;
	if (e < 0) {
		close(fd);
		return e;
	}
	if ((fd == -ENOENT || fd == -EACCES) && path[0] == '/' && by_rule(r, false, path)) {
		r->missing_perms = 0;
		r->canonical[0] = 0;
		fd = open_ruled(r, plain(r->rule->host));
		if (fd == -ENOENT)
			fd = open_ruled(r, r->rule->host);
	}
	return fd;
}

static bool is_name_service(const char *path)
{
	for (size_t i = 0; i < sizeof(name_services) / sizeof(name_services[0]); i++)
		if (strcmp(path, name_services[i]) == 0)
			return true;
	return false;
}

static int open_socket(struct request *r, char *path, enum use use)
{
	const uint64_t held = policy_of(r)->promises;
	bool logs = use == USE_CONNECT && (held & PROMISE_BIT(stdio)) && strcmp(path, log_socket) == 0;
	if (!(held & PROMISE_BIT(unix))) {
		/* libc asks for its daemon on its own account, and goes on without it. */
		if (use == USE_CONNECT && is_name_service(path))
			return -ENOENT;
		return logs ? open_log(r) : promised(r, PROMISE_BIT(unix));
	}
	int fd = open_path(r, path);
	if (fd >= 0 || fd == -ECONNREFUSED) {
		int e = fd >= 0 ? same_user(r) : fd;
		if (e < 0 && fd >= 0)
			close(fd);
		return e < 0 ? e : fd;
	}
	if (logs || is_name_service(path)) {
		r->missing_perms = 0;
		r->missing_address = MISSING_NONE;
		return logs ? open_log(r) : fd;
	}
	return fd;
}

/* What the kernel checks of every local address. 0, or -EINVAL. */
static int valid(const struct name *n)
{
	return n->len <= NAME_AT || n->len > sizeof(struct sockaddr_un) || n->to.local.sun_family != AF_UNIX ? -EINVAL
													     : 0;
}

int local_allow(struct request *r, const struct endpoint *s, struct name *n, enum use use)
{
	char path[NAME_MAX_LOCAL + 1] = "";
	if (use == USE_SEND && (!n->len || s->type != SOCK_DGRAM)) {
		/* A stream with an address gets its own errno from the kernel, which does not look at it. */
		if (s->type == SOCK_SEQPACKET)
			n->len = 0;
		n->to.local.sun_path[0] = 0;
		return 0;
	}
	if (use == USE_CONNECT && s->type == SOCK_DGRAM && n->len >= sizeof(sa_family_t) &&
		n->to.any.sa_family == AF_UNSPEC)
		return promised(r, PROMISE_BIT(unix)); /* dissolves */
	int e = valid(n);
	if (e < 0)
		return e;
	if (!n->to.local.sun_path[0])
		return abstract(r, n, use);
	memcpy(path, n->to.local.sun_path, n->len - NAME_AT);
	describe(r, path, NULL, 0);
	int fd = open_socket(r, path, use);
	if (fd < 0)
		return fd;
	n->held = fd;
	memset(&n->to.local.sun_path, 0, sizeof(n->to.local.sun_path));
	n->len = (socklen_t)(NAME_AT + 1 +
			     (size_t)snprintf(n->to.local.sun_path, NAME_MAX_LOCAL, "/proc/self/fd/%d", fd));
	return 0;
}

/* ---- bind ---- */

/* The address that a socket is bound to is the text that bind() got, and peers see it, so it should be the target's own.
 * The kernel resolves it once more then: safe where the target can put no other directory in the place of one on the way.
 * Elsewhere it is the last component alone, from the parent that was judged. */
static bool as_written(const struct request *r, const struct place *p, const char *path)
{
	const struct policy *policy = policy_of(r);
	char directory[CANONICAL_MAX];
	if (path[0] != '/' || in_proc(path))
		return false;
	if (policy->everything)
		return true;
	if (strcmp(path, p->path) != 0)
		return false; /* there is a link, or ".." */
	strcpy(directory, p->path);
	for (char *slash; (slash = strrchr(directory, '/')) != NULL && slash != directory;) {
		*slash = 0;
		const struct unveil *rule = policy_find(policy, directory);
		/* A rule's own directory is not moved. */
		if (rule && (policy_perms_at(policy, directory) & PERM_C) && strcmp(rule->path, directory) != 0)
			return false;
	}
	return true;
}

/* With the caller's mask. A thread without one of its own cannot set it: then the socket's own mode has it taken off, which
 * is what the kernel makes the file's of. */
static int bind_with_mode(
	const struct request *r, const struct endpoint *s, const struct sockaddr_un *to, socklen_t len)
{
	bool own = thread_has_own_fs();
	struct stat st = {.st_mode = 0777};
	mode_t mode = mode_for(r, 0777);
	if (!own && fstat(s->fd, &st) == 0)
		fchmod(s->fd, st.st_mode & mode & 0777);
	int e = bind(s->fd, (const struct sockaddr *)to, len) < 0 ? -errno : 0;
	if (!own)
		fchmod(s->fd, st.st_mode & 07777);
	return e;
}

static int bind_at(const struct request *r, const struct endpoint *s, const struct place *p, const struct name *n,
	const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	bool own = thread_has_own_fs();
	if (as_written(r, p, path))
		return bind_with_mode(r, s, &n->to.local, n->len);
	char text[PATH_MAX + 40];
	size_t len = (size_t)(own ? snprintf(text, sizeof(text), "%s", p->rest)
				  : snprintf(text, sizeof(text), "/proc/self/fd/%d/%s", p->base, p->rest));
	if (len > sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, text, len); /* a NUL behind it is not needed */
	if (own && fchdir(p->base) < 0)
		return -errno;
	int e = bind_with_mode(r, s, &to, (socklen_t)(NAME_AT + len));
	if (own)
		(void)!fchdir(r->family->broker->root); /* not to hold its file system busy */
	return e;
}

/* The directory of a name that a rule of its own allows to be bound, whatever is unveiled. */
static int ruled_parent(const struct request *r, const char *path, struct place *p)
{
	const char *name = strrchr(path, '/') + 1;
	char directory[NAME_MAX_LOCAL + 1];
	memcpy(directory, path, (size_t)(name - path));
	directory[name - path] = 0;
	*p = (struct place){.base = -1};
	int fd = open_beneath(r->family->broker->root, directory[1] ? directory + 1 : ".", O_PATH | O_DIRECTORY, 0, 0);
	if (fd < 0)
		return fd;
	p->base = fd;
	p->own_base = true;
	strcpy(p->rest, name);
	strcpy(p->path, path);
	return 0;
}

int local_bind(struct request *r, const struct endpoint *s, const struct name *n)
{
	char path[NAME_MAX_LOCAL + 1] = "";
	struct place p = {.base = -1};
	bool autobind = n->len == NAME_AT && n->to.local.sun_family == AF_UNIX;
	int e = autobind ? 0 : valid(n);
	if (e < 0)
		return e;
	if (autobind || !n->to.local.sun_path[0]) {
		e = abstract(r, n, USE_BIND);
		return e < 0 ? e : bind(s->fd, &n->to.any, n->len) < 0 ? -errno : 0;
	}
	memcpy(path, n->to.local.sun_path, n->len - NAME_AT);
	describe(r, path, NULL, 0);
	e = promised(r, PROMISE_BIT(unix));
	if (e < 0)
		return e;
	r->path[0] = path;
	r->dirfd[0] = AT_FDCWD;
	e = resolve_parent(r, 0, PERM_C, &p);
	r->path[0] = NULL;
	r->unveiled = e == 0 ? p.rule : NULL;
	if ((e == -ENOENT || e == -EACCES) && path[0] == '/' && by_rule(r, true, path)) {
		r->missing_perms = 0;
		r->canonical[0] = 0;
		e = ruled_parent(r, path, &p);
	}
	if (e == -EISDIR || e == -EBUSY || (e == 0 && p.proc))
		e = e == 0 ? -EPERM : -EEXIST;
	if (e == 0)
		e = bind_at(r, s, &p, n, path);
	place_close(&p);
	return e == -EEXIST ? -EADDRINUSE : e;
}

/* The kernel gives an abstract name to who wants credentials and connects, whoever may bind one. */
int local_listen(struct request *r, const struct endpoint *s)
{
	struct name n = {.len = sizeof(n.to.room), .held = -1};
	if (getsockname(s->fd, &n.to.any, &n.len) < 0)
		return -errno;
	return n.len <= NAME_AT || n.to.local.sun_path[0] ? 0 : abstract(r, &n, USE_BIND);
}
