/* SPDX-License-Identifier: ISC */
/*
 * Owns what is in a core file: the notes, and the memory that was touched. Runs in core.c's helper, which gives all up but
 * reading that one process and writing to that descriptor; what it reads the process may have made.
 *
 * Code that the program maps from files is not in it, nor what was never touched, nor mappings of more than 4 GiB (the
 * shadows of sanitizers). What is left is written in order, so that the descriptor may be a pipe; where no more of it can be
 * written, it ends.
 */
#include "broker/core.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECONDS 10 /* of processor time */
#define MAPS 2048
#define SEGMENTS 4096
#define GAP 16 /* pages that were never touched, between others, are zeroes in the file */
#define LARGEST (UINT64_C(4) << 30) /* mapping, and file */
#define PAGE UINT64_C(4096)
/* Where the kernel does not tell what was touched, no more of a mapping than its beginning: to read from shared memory is to
 * fill it. */
#define SHARED (UINT64_C(1) << 20)
#define PRIVATE (UINT64_C(64) << 20)
#define CHUNK (64 * 1024)
#define TEXT (512 * 1024)
#define NOTES (TEXT + CORE_THREADS * 1024)
#define PRESENT (UINT64_C(3) << 62) /* of a word of pagemap: in memory, or swapped out */

struct map {
	uint64_t from, to, offset;
	uint32_t flags;
	bool code; /* of a file */
	bool shared;
	const char *path;
};

struct core {
	struct core_threads *t;
	int out, pages;
	bool holes, hole; /* can be left in it; it ends in one */
	size_t maps, segments, notes_len;
	struct map map[MAPS];
	Elf64_Phdr segment[SEGMENTS + 1];
	char text[TEXT], files[TEXT], notes[NOTES], chunk[CHUNK];
};

/* ---- what there is ---- */

static size_t read_all(const struct broker *b, pid_t pid, const char *what, char *buf, size_t room)
{
	char name[32];
	size_t len = 0;
	ssize_t n = 0;
	snprintf(name, sizeof(name), "%d/%s", (int)pid, what);
	int fd = openat(b->proc, name, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && len < room && (n = read(fd, buf + len, room - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	return len;
}

static void maps_parse(struct core *c)
{
	char *save = NULL;
	for (char *line = strtok_r(c->text, "\n", &save); line && c->maps < MAPS; line = strtok_r(NULL, "\n", &save)) {
		struct map *m = &c->map[c->maps++];
		char *at;
		m->from = strtoull(line, &at, 16);
		m->to = strtoull(at + (*at == '-'), &at, 16);
		if (strlen(at) < 6) {
			c->maps--;
			continue;
		}
		m->flags = (at[1] == 'r' ? PF_R : 0u) | (at[2] == 'w' ? PF_W : 0u) | (at[3] == 'x' ? PF_X : 0u);
		m->shared = at[4] == 's';
		m->offset = strtoull(at + 5, &at, 16);
		at += strspn(at, " ");
		at += strcspn(at, " "); /* the device */
		strtoull(at, &at, 10); /* the inode */
		m->path = at + strspn(at, " ");
		m->code = m->path[0] == '/' && (m->flags & PF_X) && !(m->flags & PF_W);
	}
}

static void segment_add(struct core *c, const struct map *m, uint64_t from, uint64_t to, bool holds)
{
	if (c->segments == SEGMENTS)
		return;
	c->segment[1 + c->segments++] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = m->flags,
		.p_vaddr = from,
		.p_memsz = to - from,
		.p_filesz = holds ? to - from : 0,
		.p_align = PAGE};
}

/* The parts of it that were ever touched. */
static void map_cut(struct core *c, const struct map *m)
{
	uint64_t words[512], run = 0, end = 0;
	const bool whole = strcmp(m->path, "[vdso]") == 0;
	if (whole || m->code || !(m->flags & PF_R) || m->to - m->from > LARGEST || strncmp(m->path, "[v", 2) == 0) {
		segment_add(c, m, m->from, m->to, whole);
		return;
	}
	if (c->pages < 0) { /* only the privileged are told */
		const uint64_t most = m->shared ? SHARED : PRIVATE;
		segment_add(c, m, m->from, m->to - m->from < most ? m->to : m->from + most, true);
		return;
	}
	for (uint64_t at = m->from; at < m->to; at += sizeof(words) / 8 * PAGE) {
		size_t n = (m->to - at) / PAGE < 512 ? (size_t)((m->to - at) / PAGE) : 512;
		ssize_t got = pread(c->pages, words, n * 8, (off_t)(at / PAGE * 8));
		for (size_t i = 0; got > 0 && i < (size_t)got / 8; i++) {
			const uint64_t page = at + i * PAGE;
			if (!(words[i] & PRESENT))
				continue;
			if (end && page - end > GAP * PAGE) {
				segment_add(c, m, run, end, true);
				end = 0;
			}
			run = end ? run : page;
			end = page + PAGE;
		}
	}
	if (end)
		segment_add(c, m, run, end, true);
}

/* ---- the notes ---- */

static void note_add(struct core *c, uint32_t type, const void *data, size_t len)
{
	const Elf64_Nhdr head = {.n_namesz = 5, .n_descsz = (uint32_t)len, .n_type = type};
	char *at = c->notes + c->notes_len;
	size_t whole = sizeof(head) + 8 + (len + 3) / 4 * 4;
	if (whole > sizeof(c->notes) - c->notes_len)
		return;
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), "CORE\0\0\0", 8);
	memcpy(at + sizeof(head) + 8, data, len);
	c->notes_len += whole;
}

/* What is mapped from files: their places, then their names. */
static size_t files_say(const struct core *c, char *buf, size_t room)
{
	uint64_t head[2] = {0, 1}; /* offsets in bytes */
	size_t at = sizeof(head);
	for (int names = 0; names < 2; names++)
		for (size_t i = 0; i < c->maps; i++) {
			const struct map *m = &c->map[i];
			const uint64_t place[3] = {m->from, m->to, m->offset};
			const void *part = names ? (const void *)m->path : place;
			size_t len = names ? strlen(m->path) + 1 : sizeof(place);
			if (m->path[0] != '/')
				continue;
			if (len > room - at)
				return 0;
			memcpy(buf + at, part, len);
			at += len;
			head[0] += names;
		}
	memcpy(buf, head, sizeof(head));
	return at;
}

/* As its own libc knows the thread, by which debuggers find what it says of it. */
static pid_t number_inside(const struct broker *b, pid_t tid)
{
	char text[4096];
	text[read_all(b, tid, "status", text, sizeof(text) - 1)] = 0;
	char *line = strstr(text, "\nNSpid:");
	if (!line)
		return tid;
	line[strcspn(line + 1, "\n") + 1] = 0;
	const char *last = strrchr(line, '\t');
	return last ? (pid_t)strtol(last, NULL, 10) : tid;
}

static void notes_make(struct core *c, const struct broker *b)
{
	struct elf_prpsinfo p = {.pr_sname = 'R'};
	for (size_t i = 0; i < c->t->count; i++)
		c->t->thread[i].pr_pid = number_inside(b, c->t->thread[i].pr_pid);
	p.pr_pid = c->t->thread[0].pr_pid;
	size_t n = read_all(b, c->t->pid, "comm", p.pr_fname, sizeof(p.pr_fname) - 1);
	if (n && p.pr_fname[n - 1] == '\n')
		p.pr_fname[n - 1] = 0;
	read_all(b, c->t->pid, "cmdline", p.pr_psargs, sizeof(p.pr_psargs) - 1);
	for (size_t i = 0; i < c->t->count; i++) {
		note_add(c, NT_PRSTATUS, &c->t->thread[i], sizeof(c->t->thread[i]));
		if (c->t->has_numbers[i])
			note_add(c, NT_PRFPREG, &c->t->numbers[i], sizeof(c->t->numbers[i]));
		if (i)
			continue;
		note_add(c, NT_PRPSINFO, &p, sizeof(p));
		note_add(c, NT_SIGINFO, &c->t->info, sizeof(c->t->info));
		note_add(c, NT_AUXV, c->t->auxv, sizeof(c->t->auxv));
		size_t len = files_say(c, c->files, sizeof(c->files));
		if (len)
			note_add(c, NT_FILE, c->files, len);
	}
}

/* ---- writing ---- */

static void put(const struct core *c, const void *bytes, size_t len)
{
	for (const char *at = bytes; len > 0;) {
		ssize_t n = write(c->out, at, len);
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {c->out, POLLOUT, 0};
			ppoll(&p, 1, NULL, NULL);
			continue;
		}
		if (n <= 0)
			_exit(1);
		at += n;
		len -= (size_t)n;
	}
}

/* A chunk of memory; pages of zeroes as holes. */
static void put_part(struct core *c, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		const char *page = c->chunk + at;
		n = len - at < PAGE ? len - at : PAGE;
		c->hole = c->holes && !page[0] && memcmp(page, page + 1, n - 1) == 0;
		if (!c->hole)
			put(c, page, n);
		else if (lseek(c->out, (off_t)n, SEEK_CUR) < 0)
			_exit(1);
	}
}

static void put_memory(struct core *c, const Elf64_Phdr *p)
{
	for (uint64_t done = 0; done < p->p_filesz;) {
		size_t n = p->p_filesz - done < CHUNK ? (size_t)(p->p_filesz - done) : CHUNK;
		/* Of what cannot be read, pages of zeroes. */
		if (!frame_read(c->t->pid, p->p_vaddr + done, c->chunk, n)) {
			n = n < PAGE ? n : PAGE;
			if (!frame_read(c->t->pid, p->p_vaddr + done, c->chunk, n))
				memset(c->chunk, 0, n);
		}
		put_part(c, n);
		done += n;
	}
}

_Noreturn void core_help(struct core_threads *t, const struct broker *b, int out, pid_t broker)
{
	char name[32];
	struct core *c = mmap(
		NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (c == MAP_FAILED || getppid() != broker)
		_exit(1);
	c->t = t;
	signal(SIGPIPE, SIG_DFL);
	/* One page may be mapped as often as the process likes, and each time it is as much in the file. */
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){LARGEST, LARGEST});
	c->text[read_all(b, c->t->pid, "maps", c->text, TEXT - 1)] = 0;
	maps_parse(c);
	notes_make(c, b);
	snprintf(name, sizeof(name), "%d/pagemap", (int)c->t->pid);
	int pages = openat(b->proc, name, O_RDONLY | O_CLOEXEC);
	/* Both out of the way first: they may have each other's number. */
	pages = pages < 0 ? pages : fcntl(pages, F_DUPFD, 3);
	out = fcntl(out, F_DUPFD, 3);
	if (out < 0 || dup2(out, 1) != 1)
		_exit(1);
	c->pages = pages >= 0 ? dup2(pages, 0) : -1;
	c->out = 1;
	c->holes = lseek(1, 0, SEEK_CUR) == 0 && !(fcntl(1, F_GETFL) & O_APPEND);
	syscall(SYS_close_range, 2, ~0u, 0);
	if (!helper_lock(c->t->pid, SECONDS))
		_exit(1);
	for (size_t i = 0; i < c->maps; i++)
		map_cut(c, &c->map[i]);
	const size_t count = c->segments + 1;
	Elf64_Ehdr head = {.e_type = ET_CORE,
		.e_machine = FRAME_MACHINE,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(head),
		.e_ehsize = sizeof(head),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)count};
	memcpy(head.e_ident, (unsigned char[]){0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT}, 7);
	uint64_t at = sizeof(head) + count * sizeof(Elf64_Phdr);
	c->segment[0] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = at, .p_filesz = c->notes_len, .p_align = 4};
	const uint64_t begin = (at + c->notes_len + PAGE - 1) / PAGE * PAGE, gap = begin - at - c->notes_len;
	at = begin;
	for (size_t i = 1; i < count; i++) {
		c->segment[i].p_offset = at;
		at += c->segment[i].p_filesz;
	}
	put(c, &head, sizeof(head));
	put(c, c->segment, count * sizeof(Elf64_Phdr));
	put(c, c->notes, c->notes_len);
	put(c, memset(c->chunk, 0, PAGE), gap);
	for (size_t i = 1; i < count; i++)
		put_memory(c, &c->segment[i]);
	if (c->hole && lseek(c->out, -1, SEEK_CUR) >= 0)
		put(c, "", 1);
	_exit(0);
}
