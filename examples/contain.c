/* SPDX-License-Identifier: ISC */
/*
 * contain DIRECTORY FILE...: decodes each file with the decoder of examples/buggy.c, each in a fresh target. Marked
 * files make that decoder attack: the host says in a line what was tried and what became of it, and goes on.
 *
 * DIRECTORY is the host's own: it gets a private file and a socket, which the attacks are after. Exits with 0 when
 * every attack ended as the table below says and nothing of the host's was touched.
 */
#include "examples/buggy.h"
#include "examples/decode.h"

#include <airlock.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MEMORY (256 << 20)
#define PRIVATE_TEXT "nobody but the host reads this\n"

/* What must become of each attack. REFUSED: its calls failed, were reported, and the decoder went on to its picture;
 * NOTHING: its calls meant nothing where it is; BOUNDED: it got the memory that the limit gives and no more, and ended of
 * that; NONSENSE: its answer is one that the host does not accept; else how the target ended. */
enum { REFUSED = 100, NOTHING, BOUNDED, NONSENSE };
static const struct {
	const char *text;
	int end;
} attacks[EXPLOIT_COUNT] = {
	[EXPLOIT_none] = {NULL, REFUSED},
	[EXPLOIT_read_file] = {"read a private file", REFUSED},
	[EXPLOIT_list_directory] = {"list a directory", REFUSED},
	[EXPLOIT_connect_out] = {"connect to the network", REFUSED},
	[EXPLOIT_make_process] = {"fork", REFUSED},
	[EXPLOIT_run_shell] = {"execute a shell", REFUSED},
	[EXPLOIT_write_file] = {"write to the host's files", REFUSED},
	[EXPLOIT_kill_parent] = {"kill its parent and the host", NOTHING},
	[EXPLOIT_make_namespaces] = {"make namespaces of its own", AIRLOCK_VIOLATED},
	[EXPLOIT_take_memory] = {"allocate everything", BOUNDED},
	[EXPLOIT_spin] = {"never return", AIRLOCK_TIMED_OUT},
	[EXPLOIT_crash] = {"crash", AIRLOCK_CRASHED},
	[EXPLOIT_lie] = {"lie about the picture's size", NONSENSE},
};

/* What the attacks are after. */
struct prize {
	char path[PATH_MAX], owned[PATH_MAX];
	int tcp, local; /* listeners */
	char pid[32], port[32], directory[PATH_MAX + 32]; /* environment assignments that tell the attacker */
};

static int prize_make(struct prize *p, const char *directory)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(v4);
	FILE *file;

	snprintf(p->path, sizeof(p->path), "%s/private", directory);
	snprintf(p->owned, sizeof(p->owned), "%s/owned", directory);
	file = fopen(p->path, "we");
	if (file == NULL || fputs(PRIVATE_TEXT, file) < 0 || fclose(file) != 0)
		return -errno;
	p->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->tcp < 0 || bind(p->tcp, (struct sockaddr *)&v4, sizeof(v4)) < 0 || listen(p->tcp, 8) < 0 ||
		getsockname(p->tcp, (struct sockaddr *)&v4, &len) < 0)
		return -errno;
	if ((size_t)snprintf(name.sun_path, sizeof(name.sun_path), "%s/socket", directory) >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	p->local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->local < 0 || bind(p->local, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(p->local, 8) < 0)
		return -errno;
	snprintf(p->pid, sizeof(p->pid), "CONTAIN_PID=%d", (int)getpid());
	snprintf(p->port, sizeof(p->port), "CONTAIN_PORT=%d", ntohs(v4.sin_port));
	snprintf(p->directory, sizeof(p->directory), "CONTAIN_DIRECTORY=%s", directory);
	return 0;
}

/* What the attacker says about its success is worth nothing: this looks at the host's own things. */
static const char *prize_taken(const struct prize *p)
{
	struct pollfd listeners[] = {{.fd = p->tcp, .events = POLLIN}, {.fd = p->local, .events = POLLIN}};
	char text[64] = "";
	int fd = open(p->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 || strcmp(text, PRIVATE_TEXT) != 0) {
		if (fd >= 0)
			close(fd);
		return "the private file has changed";
	}
	close(fd);
	if (access(p->owned, F_OK) == 0)
		return "a file was made";
	if (poll(listeners, 2, 0) > 0)
		return "somebody connected";
	return NULL;
}

/* The number in a file's mark. The host of a real program cannot know; this one must say what it expects. */
static unsigned long attack_in(const void *bytes, size_t len)
{
	const char *mark = memmem(bytes, len, EXPLOIT_MARK, strlen(EXPLOIT_MARK));
	unsigned long n = mark != NULL ? strtoul(mark + strlen(EXPLOIT_MARK), NULL, 10) : EXPLOIT_none;

	return n < EXPLOIT_COUNT ? n : EXPLOIT_none;
}

static bool as_expected(int end, const struct airlock_status *status, ssize_t n, int sense, const struct picture *head)
{
	switch (end) {
	case REFUSED:
		return sense == 0 && !head->stolen && head->format != PICTURE_NONE && status->refused > 0;
	case NOTHING:
		return sense == 0 && !head->stolen && head->format != PICTURE_NONE;
	case NONSENSE:
		return n >= 0 && sense < 0;
	case BOUNDED:
		return n < 0 && (status->end == AIRLOCK_CRASHED || status->end == AIRLOCK_OUT_OF_MEMORY) &&
		       status->peak_bytes <= MEMORY;
	default:
		return n < 0 && (int)status->end == end;
	}
}

/* Says what came of a target, and whether that is what must come of it. */
static bool judge(const char *name, unsigned long attack, struct airlock_target *target, const void *answer, ssize_t n)
{
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct picture head = {.format = PICTURE_NONE};
	char picture[256], line[512];
	int sense = n >= 0 ? picture_check(answer, n, &head) : -EPIPE;

	/* Nobody answered: the end has come, or comes at once. */
	airlock_wait(target, &status, n >= 0 ? 0 : 5000);
	if (sense == 0)
		picture_describe(&head, (const char *)answer + sizeof(head), picture, sizeof(picture));
	else
		snprintf(picture, sizeof(picture), "its answer was thrown away");
	if (n < 0)
		airlock_explain(target, line, sizeof(line));
	else if (airlock_refusal(target, 0, line, sizeof(line)) < 0)
		snprintf(line, sizeof(line), "%s%s", sense == 0 && attack != EXPLOIT_none ? "nothing came of it; " : "",
			picture);
	if (attack == EXPLOIT_none) {
		printf("%-16s %s\n", name, line);
		return sense == 0 && status.refused == 0;
	}
	printf("%-16s tried to %s: %s\n", name, attacks[attack].text, line);
	if (head.stolen)
		printf("%-16s and SAYS IT GOT THROUGH\n", "");
	return as_expected(attacks[attack].end, &status, n, sense, &head);
}

static bool contain(const struct airlock_policy *policy, const char *path, void *answer)
{
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	struct airlock_target *target;
	void *bytes;
	size_t len;
	ssize_t n;
	bool good;
	int r = picture_read(path, &bytes, &len);

	if (r < 0) {
		fprintf(stderr, "contain: %s: %s\n", path, strerror(-r));
		return false;
	}
	options.name = "decoder";
	r = airlock_start(&target, policy, NULL, NULL, &options);
	if (r < 0) {
		fprintf(stderr, "contain: %s\n", airlock_message());
		free(bytes);
		return false;
	}
	n = airlock_call(target, "decode", bytes, len, answer, PICTURE_ANSWER_MAX);
	good = judge(picture_name(path), attack_in(bytes, len), target, answer, n);
	if (!good)
		printf("%-16s THIS IS NOT WHAT MUST HAPPEN (the call returned %zd)\n", "", n);
	airlock_free(target);
	free(bytes);
	return good;
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	static struct prize prize;
	const char *taken;
	void *answer;
	int r, bad = 0;

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0) {
		fprintf(stderr, "contain: %s\n", airlock_message());
		return 1;
	}
	r = argc > 1 ? prize_make(&prize, argv[1]) : -EINVAL;
	answer = malloc(PICTURE_ANSWER_MAX);
	if (r < 0 || answer == NULL) {
		fprintf(stderr, "contain: %s: %s\n", argc > 1 ? argv[1] : "usage", strerror(-r));
		free(answer);
		airlock_policy_free(policy);
		return 1;
	}
	airlock_policy_env(policy, prize.directory);
	airlock_policy_env(policy, prize.port);
	airlock_policy_env(policy, prize.pid);
	airlock_policy_limit(policy, AIRLOCK_LIMIT_MEMORY, MEMORY);
	airlock_policy_limit(policy, AIRLOCK_LIMIT_WALL, 2000);
	for (int i = 2; i < argc; i++)
		bad += !contain(policy, argv[i], answer);
	taken = prize_taken(&prize);
	printf("%d files, %d not as they must be; %s\n", argc - 2, bad,
		taken != NULL ? taken : "nothing of the host's was touched");
	free(answer);
	airlock_policy_free(policy);
	return bad != 0 || taken != NULL;
}
