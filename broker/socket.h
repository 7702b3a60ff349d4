/* SPDX-License-Identifier: ISC */
/* What ops_socket.c, ops_message.c, address.c and local.c share about sockets. */
#ifndef AIRLOCK_SOCKET_H
#define AIRLOCK_SOCKET_H

#include "broker/broker.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The caller's socket: the same open file description, by a descriptor of ours. What is decided about it is done to it,
 * whatever has its number in the target by then. */
struct endpoint {
	int fd; /* -1: none */
	int domain, type, protocol;
	bool waits; /* not O_NONBLOCK */
};
/* 0, -EBADF, -ENOTSOCK, -ENFILE. */
int endpoint_open(const struct request *r, int number, struct endpoint *s);
void endpoint_close(struct endpoint *s);
/* A call that waited was interrupted: whether the kernel would say so whatever the handler's SA_RESTART. */
bool endpoint_times_out(const struct endpoint *s, int option);

/* An address, copied once. */
struct name {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
		struct sockaddr_nl netlink;
		struct sockaddr_storage room;
	} to;
	socklen_t len;
	int held; /* O_PATH of the local socket, which `to` then names by its number; -1 */
};
/* 0, -EINVAL, -EFAULT, -EPERM. */
int name_read(const struct request *r, uint64_t address, uint64_t len, struct name *n);
void name_close(struct name *n);

enum use { USE_CONNECT, USE_BIND, USE_SEND };
/* Decides by r's state whether s may be used with n, and makes n what the kernel is to be given: a local socket by its
 * descriptor, an unspecified address by the one that it stands for, nothing (len 0) where the kernel would not look at it.
 * 0, or the negative errno that the target sees, with what would have allowed it in r; or DECIDED_LATER (names.h). */
int name_allow(struct request *r, const struct endpoint *s, struct name *n, enum use use);

/* netlink.c: from here on fd, a socket of NETLINK_ROUTE, hears only what getifaddrs() asks for. -1 and errno. */
int netlink_listen_only(int fd);
int netlink_allow(struct request *r, const struct endpoint *s, const struct name *n, enum use use);

/* local.c: whether any rule names an abstract socket, which another network than the targets' has. */
bool local_beyond(const struct policy *p);
/* The same for AF_UNIX, save USE_BIND of a path, which is all done by local_bind(). */
int local_allow(struct request *r, const struct endpoint *s, struct name *n, enum use use);
int local_bind(struct request *r, const struct endpoint *s, const struct name *n);
/* Whether it may listen by the name that it has. 0 or a negative errno. */
int local_listen(struct request *r, const struct endpoint *s);

/* heard.c: who sent datagrams to a socket that a rule let be bound may be answered by it. */
bool heard_matters(const struct request *r, int number); /* whether it is such a socket, before anything is received */
void heard_note(struct request *r, const struct endpoint *s, const void *from, socklen_t len);
bool heard_from(const struct request *r, const struct endpoint *s, const uint8_t ip[16], uint16_t port);
void heard_stop(struct family *f);

/* What waits on a slow worker: kept by the request from its first run to its second. */
struct job {
	void (*drop)(struct job *j); /* frees it, with what it holds */
	struct endpoint s;
	struct name asked, to; /* as the target gave it, and as name_allow() made it */
	bool begun; /* a connect that the broker's own first try began */
	int64_t until; /* kept without a worker until this time (CLOCK_MONOTONIC, ms) or until s is writable; 0: it is not */
};
/* Whether what was asked for is still allowed: the caller may have been narrowed while it waited. 0 or a negative errno. */
int job_allowed_still(struct request *r, const struct job *j, enum use use);
#endif
