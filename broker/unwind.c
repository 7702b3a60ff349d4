/* SPDX-License-Identifier: ISC */
/*
 * Owns where in its program a held thread is: a short list of functions, for the line about its violation. Runs in the
 * broker, and what reads the process' memory and files runs in a helper: forked for this one thread, it looks up where the
 * modules are (the kernel's own text), opens their files, gives all else up, and is ended after 20 milliseconds. Whatever
 * the process made of its stack and tables, it can make that helper say something wrong, or nothing.
 */
#include "broker/abort.h"
#include "broker/crash.h"
#include "broker/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIME_MS 20
#define FRAMES 12
#define MAPS 512
#define FILES 48
#define TEXT (256 * 1024)

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

/* ---- the helper ---- */

struct map {
	uint64_t from, to, offset, inode;
	const char *path;
	bool runs; /* may be executed */
	int fd; /* of its file, or -1 */
};

struct helper {
	pid_t pid; /* of the thread */
	int out;
	bool inside; /* it stands in our own handler */
	size_t count;
	struct map maps[MAPS];
	char text[TEXT];
	struct searched searched;
};

static void maps_parse(struct helper *h)
{
	char *save = NULL;
	for (char *line = strtok_r(h->text, "\n", &save); line && h->count < MAPS; line = strtok_r(NULL, "\n", &save)) {
		struct map *m = &h->maps[h->count];
		char *at;
		m->from = strtoull(line, &at, 16);
		m->to = strtoull(at + (*at == '-'), &at, 16);
		m->runs = strlen(at) > 5 && at[3] == 'x';
		m->offset = strtoull(at + (strlen(at) > 5 ? 5 : 0), &at, 16);
		at += strspn(at, " ");
		at += strcspn(at, " "); /* the device */
		m->inode = strtoull(at, &at, 10);
		m->path = at + strspn(at, " ");
		m->fd = -1;
		if (m->path[0] == '/' || !strcmp(m->path, "[vdso]"))
			h->count++;
	}
}

static int file_held(const struct broker *b, int path_fd, uint64_t inode)
{
	char name[32];
	struct stat st;
	int fd = -1;
	snprintf(name, sizeof(name), "self/fd/%d", path_fd);
	if (path_fd >= 0 && fstat(path_fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == inode)
		fd = openat(b->proc, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (path_fd >= 0)
		close(path_fd);
	return fd;
}

/* The file by its path, as the program, or in a tree that a rule holds: there the kernel names it by its path in that. */
static int file_open(const struct broker *b, pid_t pid, const struct map *m)
{
	const int look = O_PATH | O_CLOEXEC;
	char name[32];
	int fd = file_held(b, open(m->path, look), m->inode);
	snprintf(name, sizeof(name), "%d/exe", (int)pid);
	if (fd < 0)
		fd = file_held(b, openat(b->proc, name, look), m->inode);
	for (size_t i = 0; fd < 0 && b->private_mounts && i < b->policy.unveil_count; i++)
		if (b->anchors[i].fd >= 0 && m->path[1])
			fd = file_held(b, openat(b->anchors[i].fd, m->path + 1, look), m->inode);
	return fd;
}

static void files_open(struct helper *h, const struct broker *b)
{
	unsigned opened = 0;
	for (size_t i = 0; i < h->count && opened < FILES; i++) {
		struct map *m = &h->maps[i];
		if (m->runs && m->path[0] == '/' && (i == 0 || m[-1].fd < 0 || m[-1].inode != m->inode)) {
			m->fd = file_open(b, h->pid, m);
			opened++;
		}
	}
}

/* Everything but its way out and the files. */
static void descriptors_close(const struct helper *h)
{
	int from = 0;
	for (;;) {
		int next = h->out >= from ? h->out : -1;
		for (size_t i = 0; i < h->count; i++)
			if (h->maps[i].fd >= from && (next < 0 || h->maps[i].fd < next))
				next = h->maps[i].fd;
		if (next != from)
			syscall(SYS_close_range, from, next < 0 ? ~0u : (unsigned)next - 1, 0);
		if (next < 0)
			return;
		from = next + 1;
	}
}

bool helper_lock(pid_t pid, unsigned seconds)
{
	static const int none[] = {RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_MEMLOCK};
	const struct rlimit zero = {0, 0}, time = {seconds, seconds};
	/* clang-format off */
	struct sock_filter code[] = {
		/* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		/* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 10),
		/* 2 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		/* 3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pread64, 7, 0),
		/* 4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 6, 0),
		/* 5 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 5, 0),
		/* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ppoll, 4, 0),
		/* 7 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_lseek, 3, 0),
		/* 8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 3),
		/* Of this process alone. */
		/* 9 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		/* 10 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)pid, 0, 1),
		/* 11 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		/* 12 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	/* clang-format on */
	const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		setrlimit((__rlimit_resource_t)none[i], &zero);
	setrlimit(RLIMIT_CPU, &time);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

static const struct map *map_at(const struct helper *h, uint64_t pc, const struct map **base)
{
	for (size_t i = 0; i < h->count; i++) {
		const struct map *m = &h->maps[i];
		if (pc < m->from || pc >= m->to || !m->runs)
			continue;
		*base = m;
		while (*base > h->maps && (*base)->offset && (*base)[-1].inode == m->inode)
			--*base;
		return m;
	}
	return NULL;
}

static int file_of(const struct helper *h, const struct map *m)
{
	int fd = m->fd;
	for (size_t i = 0; i < h->count && fd < 0 && m->inode; i++)
		if (h->maps[i].inode == m->inode)
			fd = h->maps[i].fd;
	return fd;
}

/* To the caller, by the module's tables, or without. */
static bool step(struct helper *h, const struct map *m, const struct elf *elf, struct frame *f)
{
	uint64_t at, len;
	int fd = elf->header ? -1 : file_of(h, m);
	if (elf->header ? frame_step(h->pid, elf->header, f)
			: fd >= 0 && section_find(fd, ".eh_frame", &at, &len) &&
				  frame_search(h->pid, elf->bias + at, len, &h->searched, f))
		return true;
	return frame_interrupted(h->pid, f);
}

/* "name+0x1f (module)", or the module's own address. */
static void frame_say(const struct helper *h, const struct map *m, uint64_t address, bool exact, bool more)
{
	char name[SYMBOL_NAME], line[SYMBOL_NAME + 128];
	const char *slash = strrchr(m->path, '/');
	uint64_t offset;
	const int fd = file_of(h, m);
	const char *module = slash ? slash + 1 : m->path, *comma = more ? ", " : "";
	int n;
	if (fd >= 0 && function_find(fd, address - !exact, name, &offset))
		n = snprintf(line, sizeof(line), "%s%s+0x%llx (%.64s)", comma, name,
			(unsigned long long)offset + !exact, module);
	else
		n = snprintf(line, sizeof(line), "%s0x%llx (%.64s)", comma, (unsigned long long)address, module);
	if (n > 0)
		(void)!write(h->out, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static _Noreturn void help(const struct broker *b, struct helper *h, struct frame *f, pid_t broker)
{
	char name[32];
	size_t len = 0;
	ssize_t n = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != broker)
		_exit(1);
	snprintf(name, sizeof(name), "%d/maps", (int)h->pid);
	int fd = openat(b->proc, name, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && len < TEXT - 1 && (n = read(fd, h->text + len, TEXT - 1 - len)) > 0)
		len += (size_t)n;
	maps_parse(h);
	files_open(h, b);
	descriptors_close(h);
	if (!helper_lock(h->pid, 1))
		_exit(1);
	const struct map *base;
	bool more = false;
	/* A call of what is nowhere: whoever called stands on top of the stack. */
	if (f->exact && !map_at(h, f->pc, &base) && frame_called(h->pid, f)) {
		(void)!write(h->out, "nowhere (?)", 11);
		more = true;
	}
	for (int i = 0; i < FRAMES; i++) {
		const struct map *m = map_at(h, f->pc, &base);
		struct elf elf;
		if (!m || !elf_read(h->pid, base->from, &elf))
			break;
		if (!h->inside)
			frame_say(h, m, f->pc - elf.bias, f->exact, more);
		more |= !h->inside;
		if (!step(h, m, &elf, f))
			break;
		h->inside = h->inside && !f->exact;
	}
	_exit(0);
}

/* ---- the broker's side ---- */

#if defined(__x86_64__)
static void frame_set(struct frame *f, const struct user_regs_struct *r)
{
	const uint64_t set[] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8, r->r9, r->r10,
		r->r11, r->r12, r->r13, r->r14, r->r15, r->rip};
	memcpy(f->r, set, sizeof(set));
	f->pc = r->rip;
}

#elif defined(__aarch64__)
static void frame_set(struct frame *f, const struct user_regs_struct *r)
{
	memcpy(f->r, r->regs, 31 * sizeof(uint64_t));
	f->r[FRAME_SP] = r->sp;
	f->pc = r->pc;
}

#endif

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What the helper says in its time; of a last frame that is cut off nothing. */
static void listen(int fd, char *text, size_t room)
{
	const int64_t until = now_us() + TIME_MS * 1000;
	size_t len = 0;
	bool whole = false;
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		int64_t left = until - now_us();
		const struct timespec wait = {0, left > 0 ? left * 1000 : 0};
		if (ppoll(&p, 1, &wait, NULL) != 1)
			break;
		ssize_t n = read(fd, text + len, room - 1 - len);
		if (n <= 0) {
			whole = n == 0;
			break;
		}
		len += (size_t)n;
	}
	text[len] = 0;
	char *comma = whole ? NULL : strrchr(text, ',');
	if (!whole && (len == 0 || text[len - 1] != ')'))
		*(comma ? comma : text) = 0;
}

void unwind_from(const struct request *r, const struct frame *from, bool inside, char *buf, size_t len)
{
	struct frame f = *from;
	int fds[2], status;
	char text[ABORT_FRAMES];
	buf[0] = 0;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	const pid_t broker = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		/* Not among the library's own memory, which counts against the limits of all that have it. */
		struct helper *h = mmap(
			NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (h == MAP_FAILED)
			_exit(1);
		h->pid = r->tid;
		h->out = fds[1];
		h->inside = inside;
		help(r->family->broker, h, &f, broker);
	}
	close(fds[1]);
	if (pid > 0) {
		listen(fds[0], text, sizeof(text));
		decode_escape(buf, len, text);
		kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(fds[0]);
}

void unwind(const struct request *r, const struct trace *t, char *buf, size_t len)
{
	struct frame f = {.exact = true};
	if (!r->frame || !frame_context(t->pid, r->frame, &f))
		frame_set(&f, &t->registers);
	unwind_from(r, &f, r->stands != r->place, buf, len);
}
