/* SPDX-License-Identifier: ISC */
/*
 * Runs a program under somebody else's seccomp listener, as a container engine with an agent does: a filter that notifies
 * for acct(2), and a supervisor that answers it. Whatever is then confined by airlock there uses the second carrier. Runs
 * as the program itself and, forked off, as its supervisor.
 *
 *   under_listener PROGRAM [ARG...]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int listen_for_acct(void)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_acct, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* Ends with the last process below the filter. */
static void supervise(int listener)
{
	struct seccomp_notif n;
	struct seccomp_notif_resp answer;
	for (;;) {
		memset(&n, 0, sizeof(n));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
			if (errno == EINTR)
				continue;
			_exit(0);
		}
		/* A number that acct itself never gives: who sees it was heard by this supervisor. */
		answer = (struct seccomp_notif_resp){.id = n.id, .error = -EXFULL};
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

int main(int argc, char **argv)
{
	int pair[2];
	char byte = 0;
	if (argc < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 125;
	/* The supervisor is not below the filter, and no child of the program's. */
	pid_t middle = fork();
	if (middle == 0) {
		if (fork() > 0)
			_exit(0);
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = {&byte, 1};
		struct msghdr h = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
		int listener;
		/* Standard output may be a pipe that somebody waits for the end of. */
		close(0);
		close(1);
		close(2);
		close(pair[1]);
		if (recvmsg(pair[0], &h, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&h))
			_exit(1);
		memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(listener));
		supervise(listener);
	}
	int listener = listen_for_acct();
	if (listener < 0) {
		fprintf(stderr, "under_listener: %s\n", strerror(errno));
		return 125;
	}
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {&byte, 1};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &listener, sizeof(listener));
	if (sendmsg(pair[1], &h, 0) != 1)
		return 125;
	close(listener);
	close(pair[0]);
	close(pair[1]);
	/* wait(2) must not meet the one in the middle. */
	while (syscall(SYS_wait4, middle, NULL, 0, NULL) < 0 && errno == EINTR)
		;
	execv(argv[1], argv + 1);
	fprintf(stderr, "under_listener: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
