/* SPDX-License-Identifier: ISC */
/*
 * Owns the binder. To bind a port below net.ipv4.ip_unprivileged_port_start takes CAP_NET_BIND_SERVICE over the network,
 * which a broker in a user namespace of its own has over none that matters. So where rules name such ports, and the process
 * has the capability, a process is forked before it enters that namespace, which keeps this one capability and does one
 * thing: it binds the socket that it is sent to the address that it is sent, if its own copy of the policy has a rule for it
 * in numbers. A broker that was taken over gets no other port from it. The fork runs on nothing but its socket; what it
 * reads there is the broker's.
 */
#include "broker/socket.h"
#include "ipc/ipc.h"

#include "policy/promises.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_UNPRIVILEGED 1024 /* the kernel's default */

static unsigned first_unprivileged(const struct broker *b)
{
	char text[16] = "";
	int fd = openat(b->proc, "sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 ? (unsigned)strtoul(text, NULL, 10) : FIRST_UNPRIVILEGED;
}

static bool wanted(const struct broker *b)
{
	const struct policy *p = &b->policy;
	bool able = p->any_address;
	if (!(promises_all(p) & PROMISE_BIT(inet)))
		return false;
	for (size_t i = 0; i < p->address_count && !able; i++) {
		const struct address *a = &p->addresses[i];
		able = a->bind && a->kind != ADDRESS_UNIX && !policy_address_is_name(a) &&
		       a->port_low < first_unprivileged(b) && a->port_high > 0;
	}
	cap_t caps = able ? cap_get_proc() : NULL;
	cap_flag_value_t has = CAP_CLEAR;
	if (caps)
		cap_get_flag(caps, CAP_NET_BIND_SERVICE, CAP_EFFECTIVE, &has);
	cap_free(caps);
	return has == CAP_SET;
}

/* ---- in the fork ---- */

struct wish {
	uint32_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to;
};

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

static int grant(const struct policy *p, int fd, const struct wish *w)
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff}, none[16];
	const int domain = option(fd, SOL_SOCKET, SO_DOMAIN), type = option(fd, SOL_SOCKET, SO_TYPE),
		  protocol = option(fd, SOL_SOCKET, SO_PROTOCOL);
	uint8_t ip[16];
	bool v6 = domain == AF_INET6;
	if ((!v6 && domain != AF_INET) || w->to.any.sa_family != domain ||
		w->len != (v6 ? sizeof(w->to.v6) : sizeof(w->to.v4)))
		return -EACCES;
	if (!(type == SOCK_STREAM && protocol == IPPROTO_TCP) && !(type == SOCK_DGRAM && protocol == IPPROTO_UDP))
		return -EACCES;
	memcpy(ip, v4_mapped, sizeof(v4_mapped));
	memcpy(ip + (v6 ? 0 : 12), v6 ? (const void *)&w->to.v6.sin6_addr : &w->to.v4.sin_addr, v6 ? 16 : 4);
	const enum address_kind kind = type == SOCK_STREAM ? ADDRESS_TCP : ADDRESS_UDP;
	const uint16_t port = ntohs(v6 ? w->to.v6.sin6_port : w->to.v4.sin_port);
	int r = policy_judge_address(p, kind, true, ip, port);
	/* It hears v4, too, unless it was told not to. */
	if (r == 0 && v6 && memcmp(ip, none, 16) == 0 && option(fd, SOL_IPV6, IPV6_V6ONLY) != 1) {
		memcpy(ip, v4_mapped, sizeof(v4_mapped));
		r = policy_judge_address(p, kind, true, ip, port);
	}
	return r < 0 ? r : bind(fd, &w->to.any, w->len) < 0 ? -errno : 0;
}

/* What is left of the system calls. */
static int confine(void)
{
	static const int calls[] = {SYS_recvmsg, SYS_sendmsg, SYS_bind, SYS_getsockopt, SYS_close, SYS_ppoll,
		SYS_exit_group,
#ifdef SYS_poll
		SYS_poll,
#endif
		SYS_restart_syscall};
	int r = broker_capabilities(UINT64_C(1) << CAP_NET_BIND_SERVICE);
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		r = -errno;
	return r < 0 ? r : calls_only(calls, sizeof(calls) / sizeof(calls[0]));
}

static void serve(const struct policy *p, int socket)
{
	static char buffer[IPC_BYTES_MAX + 16];
	struct ipc_message m;
	struct wish w;
	while (ipc_recv(socket, buffer, sizeof(buffer), 1, &m, true) == 1 && m.len == sizeof(w) && m.fd_count == 1) {
		memcpy(&w, m.data, sizeof(w));
		int32_t error = grant(p, m.fds[0], &w);
		ipc_message_close(&m);
		if (ipc_send(socket, &(struct ipc_message){.len = sizeof(error), .data = &error}, true) < 0)
			break;
	}
}

/* ---- in the broker ---- */

int binder_start(struct broker *b, const char *name)
{
	int pair[2], r = wanted(b) ? ipc_pair(pair) : 1;
	if (r)
		return r < 0 ? r : 0;
	/* Without an exit signal nobody waits for it: it goes with its broker, whose end of the socket it reads from. */
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0);
		setproctitle("-%s: airlock binder", name);
		syscall(SYS_close_range, 0u, (unsigned)pair[1] - 1, 0);
		syscall(SYS_close_range, (unsigned)pair[1] + 1, ~0u, 0);
		if (confine() < 0)
			_exit(1);
		serve(&b->policy, pair[1]);
		_exit(0);
	}
	r = pid < 0 ? -errno : 0;
	close(pair[1]);
	/* 0 means that there is none. */
	b->binder = r < 0 ? 0 : fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
	if (r == 0 && b->binder < 0)
		r = -errno;
	close(pair[0]);
	return r;
}

int binder_bind(struct broker *b, int fd, const struct sockaddr *to, unsigned len)
{
	static char buffer[IPC_BYTES_MAX + 16]; /* under the lock; there is one broker */
	struct wish w = {.len = 0};
	struct ipc_message ask = {.len = sizeof(w), .data = &w, .fds = {fd}, .fd_count = 1}, m;
	int32_t error = -EACCES;
	if (b->binder <= 0)
		return -EACCES;
	/* The kernel takes more bytes than there are to an address, fewer of v6, and no family for v4. */
	memcpy(&w.to, to, len < sizeof(w.to) ? len : sizeof(w.to));
	if (w.to.any.sa_family == AF_UNSPEC)
		w.to.any.sa_family = AF_INET;
	w.len = w.to.any.sa_family == AF_INET ? sizeof(w.to.v4) : sizeof(w.to.v6);
	pthread_mutex_lock(&b->opener_lock);
	if (ipc_send(b->binder, &ask, true) == 0 && ipc_recv(b->binder, buffer, sizeof(buffer), 0, &m, true) == 1 &&
		m.len == sizeof(error))
		memcpy(&error, m.data, sizeof(error));
	pthread_mutex_unlock(&b->opener_lock);
	return error;
}
