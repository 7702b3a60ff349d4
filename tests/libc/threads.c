/* SPDX-License-Identifier: ISC */
/* Threads, and what libc makes threads for. */
#include "checks.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

static void *work_hard(void *arg)
{
	char *parts[100];
	size_t n = (size_t)(uintptr_t)arg;
	for (size_t i = 0; i < 100; i++)
		parts[i] = malloc(n * 1000 + i);
	for (size_t i = 0; i < 100; i++)
		free(parts[i]);
	return (void *)(uintptr_t)(n * 2);
}

static void joining(void)
{
	pthread_t list[16];
	uintptr_t sum = 0;
	for (size_t i = 0; i < 16; i++)
		say("%d", pthread_create(&list[i], NULL, work_hard, (void *)(uintptr_t)i));
	for (size_t i = 0; i < 16; i++) {
		void *result = NULL;
		pthread_join(list[i], &result);
		sum += (uintptr_t)result;
	}
	say("%d", (int)sum);
	pthread_barrier_t b;
	pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;
	say("%d", pthread_barrier_init(&b, NULL, 1));
	say("%d %d", pthread_barrier_wait(&b), pthread_rwlock_rdlock(&l));
	sem_t s;
	struct timespec past = {1, 0};
	sem_init(&s, 0, 1);
	say("%d", sem_wait(&s));
	say("%d", sem_timedwait(&s, &past) < 0 && errno == ETIMEDOUT);
}

static const char *cleaned = "nothing";

static void cleanup(void *arg)
{
	cleaned = arg;
}

static void *wait_for_ever(void *arg)
{
	pthread_cleanup_push(cleanup, arg);
	for (;;)
		sleep(100);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *leave(void *arg)
{
	pthread_cleanup_push(cleanup, (void *)"on exit");
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancelling(void)
{
	pthread_t t;
	void *result = NULL;
	pthread_create(&t, NULL, wait_for_ever, (void *)"when cancelled");
	say("%d", pthread_cancel(t));
	pthread_join(t, &result);
	say("%d, cleaned up %s", result == PTHREAD_CANCELED, cleaned);
	pthread_create(&t, NULL, leave, (void *)"left");
	pthread_join(t, &result);
	say("%s, cleaned up %s", (char *)result, cleaned);
}

static struct {
	int set, get;
	char name[16];
} own;

/* It says nothing itself: two threads that do, do so in any order. */
static void *named(void *arg)
{
	char byte;
	own.set = pthread_setname_np(pthread_self(), "own-name");
	own.get = pthread_getname_np(pthread_self(), own.name, sizeof(own.name));
	read(*(int *)arg, &byte, 1);
	return NULL;
}

static void naming(void)
{
	int p[2];
	char name[16] = "";
	pthread_t t;
	pipe(p);
	pthread_create(&t, NULL, named, &p[0]);
	for (int i = 0; i < 1000 && strcmp(name, "own-name") != 0; i++) {
		int e = pthread_getname_np(t, name, sizeof(name));
		if (e) {
			say("%s", errno_name(e));
			break;
		}
		usleep(1000);
	}
	say("%s", name);
	close(p[1]);
	pthread_join(t, NULL);
	say("%d", own.set);
	say("%d %s", own.get, own.name);
}

static void renaming(void)
{
	int p[2];
	pthread_t t;
	pipe(p);
	pthread_create(&t, NULL, work_hard, NULL);
	say("%s", pthread_setname_np(t, "given") == 0 ? "YES" : "REFUSED");
	pthread_join(t, NULL);
}

static void attributes(void)
{
	pthread_attr_t a;
	void *stack = NULL;
	size_t size = 0;
	char here;
	say("%d", pthread_getattr_np(pthread_self(), &a));
	say("%d", pthread_attr_getstack(&a, &stack, &size));
	say("%d", &here > (char *)stack && &here < (char *)stack + size);
	cpu_set_t set;
	say("%d", pthread_getaffinity_np(pthread_self(), sizeof(set), &set));
	struct sched_param param;
	int policy;
	say("%d", pthread_getschedparam(pthread_self(), &policy, &param));
	say("%d", pthread_kill(pthread_self(), 0));
}

static int count_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	++*(int *)arg;
	return 0;
}

static void objects(void)
{
	int n = 0;
	dl_iterate_phdr(count_object, &n);
	say("%d", n > 0);
}

#ifdef __GLIBC__
static void __attribute__((noinline)) traced(void)
{
	void *list[32];
	int n = backtrace(list, 32);
	char **names = backtrace_symbols(list, n);
	say("%d %d", n > 2, names && names[0]);
	free(names);
	int p[2];
	char text[64] = "";
	pipe(p);
	backtrace_symbols_fd(list, 1, p[1]);
	say("%d", read(p[0], text, sizeof(text) - 1) > 0);
}
#endif

#ifndef LIBC_STATIC
static void opening(void)
{
#ifdef __GLIBC__
	void *z = dlopen("libz.so.1", RTLD_NOW);
	say("%s", z ? "opened" : dlerror());
	const char *(*version)(void) = (const char *(*)(void))(z ? dlsym(z, "zlibVersion") : NULL);
	say("%s", version ? version() : "-");
#endif
	void *self = dlopen(NULL, RTLD_NOW);
	say("%d %d", self != NULL, dlopen("libno-such.so", RTLD_NOW) == NULL);
	Dl_info info;
	say("%d", dladdr((void *)(uintptr_t)puts, &info) != 0);
}
#endif

static void asynchronous(void)
{
	char buf[16] = "";
	int fd = memfd_create("aio", 8);
	write(fd, "asynchronous", 12);
	struct aiocb cb;
	memset(&cb, 0, sizeof(cb));
	cb.aio_fildes = fd;
	cb.aio_buf = buf;
	cb.aio_nbytes = 12;
	say("%d", aio_read(&cb));
	const struct aiocb *list[1] = {&cb};
	while (aio_error(&cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	say("%d", aio_error(&cb));
	say("%d %s", (int)aio_return(&cb), buf);
	cb.aio_offset = 12;
	say("%d", aio_write(&cb));
	while (aio_error(&cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	say("%d", (int)aio_return(&cb));
}

static void shared_memory(void)
{
	char name[64];
	snprintf(name, sizeof(name), "/airlock-libc-%d-%d", (int)getuid(), (int)getppid());
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	say("%s", fd < 0 ? errno_name(errno) : "opened");
	if (fd >= 0) {
		say("%d", ftruncate(fd, 4096));
		char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		say("%d %d", m != MAP_FAILED, shm_unlink(name));
	}
	sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
	say("%s", s == SEM_FAILED ? errno_name(errno) : "opened");
	if (s != SEM_FAILED)
		say("%d", sem_wait(s) == 0 && sem_close(s) == 0 && sem_unlink(name) == 0);
}

const struct libc_check thread_checks[] = {
	{"pthread-join", "stdio", NULL, 0, joining},
#if defined(__GLIBC__) && !defined(LIBC_STATIC)
	{"pthread-cancel", "stdio", NULL, LIBC_WARM, cancelling},
	{"pthread-cancel-preloaded", "stdio", NULL, LIBC_RUN | LIBC_PRELOAD, cancelling},
#else
	{"pthread-cancel", "stdio", NULL, 0, cancelling},
#endif
	{"pthread-names", "stdio", NULL, 0, naming},
	{"pthread-rename-another", "stdio", NULL, LIBC_REFUSED, renaming},
	{"pthread-attributes", "stdio", NULL, 0, attributes},
	{"dl_iterate_phdr", "stdio", NULL, 0, objects},
#if defined(__GLIBC__) && !defined(LIBC_STATIC)
	{"backtrace", "stdio", NULL, LIBC_WARM, traced},
#elif defined(__GLIBC__)
	{"backtrace", "stdio", NULL, 0, traced},
#endif
#ifndef LIBC_STATIC
	{"dlopen", "stdio rpath prot_exec", "r:/lib r:/usr/lib r:/usr/local/lib", 0, opening},
#endif
	{"aio", "stdio", NULL, 0, asynchronous},
	{"shm-sem-open", "stdio rpath wpath cpath", "rwc:/dev/shm", 0, shared_memory},
	{NULL, NULL, NULL, 0, NULL},
};
