/* SPDX-License-Identifier: ISC */
/* The peers of bench/calls.c, in the bench's process and in children of it that nothing confines. */
#include "bench/calls.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void turn(struct page *p, uint32_t to)
{
	atomic_store(&p->word, to);
	syscall(SYS_futex, &p->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Forks with a page in common; returns whether this is the child. */
static bool share(struct peer *p)
{
	p->page = mmap(NULL, sizeof(*p->page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->page == MAP_FAILED)
		fail("mmap", strerror(errno));
	p->pid = fork();
	if (p->pid < 0)
		fail("fork", strerror(errno));
	if (p->pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return p->pid == 0;
}

void futex_peer_start(struct peer *p)
{
	if (!share(p))
		return;
	for (;;) {
		futex_wait(&p->page->word, 0);
		p->page->data[0]++;
		turn(p->page, 0);
	}
}

void futex_peer_ping(struct peer *p)
{
	p->page->data[1]++;
	turn(p->page, 1);
	futex_wait(&p->page->word, 1);
}

void spin_peer_start(struct peer *p)
{
	if (!share(p))
		return;
	for (;;) {
		while (atomic_load_explicit(&p->page->word, memory_order_acquire) == 0)
			;
		p->page->data[0]++;
		atomic_store(&p->page->word, 0);
	}
}

void spin_peer_ping(struct peer *p)
{
	p->page->data[1]++;
	atomic_store(&p->page->word, 1);
	while (atomic_load_explicit(&p->page->word, memory_order_acquire) == 1)
		;
}

static bool write_all(int fd, const char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, data + done, len - done);
		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool read_all(int fd, char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, data + done, len - done);
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

void pipe_peer_start(struct peer *p)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0 || (p->pid = fork()) < 0)
		fail("pipes", strerror(errno));
	if (p->pid) {
		close(to[0]);
		close(from[1]);
		p->to = to[1];
		p->from = from[0];
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	char *data = NULL;
	for (size_t len, room = 0; read_all(to[0], (char *)&len, sizeof(len));) {
		if (len > room && !(data = realloc(data, room = len)))
			_exit(1);
		if (!read_all(to[0], data, len) || !write_all(from[1], data, len))
			_exit(1);
	}
	_exit(0);
}

void pipe_peer_echo(struct peer *p, const char *in, char *out, size_t len)
{
	if (!write_all(p->to, (char *)&len, sizeof(len)) || !write_all(p->to, in, len) || !read_all(p->from, out, len))
		fail("pipes", "the child is gone");
}

void peer_end(struct peer *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	if (p->page)
		munmap(p->page, sizeof(*p->page));
	memset(p, 0, sizeof(*p));
}

void fork_echo(const char *in, char *out, size_t len)
{
	int ends[2], status;

	if (pipe2(ends, O_CLOEXEC) < 0)
		fail("pipe", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		fail("fork", strerror(errno));
	if (pid == 0)
		_exit(!write_all(ends[1], in, len));
	close(ends[1]);
	if (!read_all(ends[0], out, len) || waitpid(pid, &status, 0) < 0 || status)
		fail("fork", "the child failed");
	close(ends[0]);
}

void sapi_start(struct sapi *s, const char *path)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0 || (s->pid = fork()) < 0)
		fail("pipes", strerror(errno));
	if (s->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		/* It says there what its unwinder makes of each crash. */
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (null >= 0 && !getenv("BENCH_VERBOSE"))
			dup2(null, 2);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	s->ask = fdopen(to[1], "we");
	s->answer = fdopen(from[0], "re");
	if (!s->ask || !s->answer)
		fail("fdopen", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	struct samples first = {0};
	sapi_ask(s, &first, "take", 16, 1, false);
	free(first.ns);
}

void sapi_ask(struct sapi *s, struct samples *samples, const char *what, size_t len, int count, bool idle)
{
	double ns;

	if (!s->pid)
		return;
	fprintf(s->ask, "%s %zu %d %d\n", what, len, count, idle);
	fflush(s->ask);
	for (int i = 0; i < count; i++) {
		if (fread(&ns, sizeof(ns), 1, s->answer) != 1) {
			fprintf(stderr, "bench: Sandboxed API failed at %s of %zu bytes: it is left out\n", what, len);
			kill(s->pid, SIGKILL);
			waitpid(s->pid, NULL, 0);
			s->pid = 0;
			return;
		}
		sample(samples, ns);
	}
}
