/* SPDX-License-Identifier: ISC */
/* Owns which threads are in the middle of an exec. Those whose execveat() is the broker's own: one such call is let through.
 * And those that are being loaded: what a loader reads and maps is granted to them alone, and only up to their entry point.
 * Not a part of a process' state: what it forks meanwhile has no loader. Runs in the broker. */
#include "broker/program.h"

#include <fcntl.h>
#include <sys/syscall.h>

void load_begin(struct family *f, pid_t pid)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS; i++)
		if (!f->loading[i]) {
			f->loading[i] = pid;
			atomic_fetch_add(&f->loading_count, 1);
			break;
		}
	pthread_mutex_unlock(&f->lock);
}

void load_end(struct family *f, pid_t pid)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS; i++)
		if (f->loading[i] == pid) {
			f->loading[i] = 0;
			atomic_fetch_sub(&f->loading_count, 1);
			break;
		}
	pthread_mutex_unlock(&f->lock);
}

bool request_loading(const struct request *r)
{
	struct family *f = r->family;
	bool found = false;
	if (!atomic_load(&f->loading_count))
		return false;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS && !found; i++)
		found = f->loading[i] == r->tid;
	pthread_mutex_unlock(&f->lock);
	return found;
}

void exec_approve(struct family *f, pid_t tid, int fd)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS; i++)
		if (!f->approved[i].tid) {
			f->approved[i].tid = tid;
			f->approved[i].fd = fd;
			break;
		}
	pthread_mutex_unlock(&f->lock);
}

void exec_disapprove(struct family *f, pid_t tid)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS; i++)
		if (f->approved[i].tid == tid)
			f->approved[i].tid = 0;
	pthread_mutex_unlock(&f->lock);
}

bool exec_approved(struct request *r)
{
	struct family *f = r->family;
	bool found = false;
	if (r->nr != SYS_execveat || r->flags != AT_EMPTY_PATH)
		return false;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS && !found; i++) {
		found = f->approved[i].tid == r->tid && f->approved[i].fd == r->dirfd[0];
		if (found)
			f->approved[i].tid = 0;
	}
	pthread_mutex_unlock(&f->lock);
	return found;
}
