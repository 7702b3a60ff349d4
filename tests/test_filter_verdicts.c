/* SPDX-License-Identifier: ISC */
/* A table of verdicts written by hand, what no filter ever lets past, and how long filters are. In a model of BPF. */
#include "tests/bpf_sim.h"
#include "tests/filter_model.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static const struct {
	const char *promises;
	int mode;
	int nr;
	uint64_t args[6];
	uint32_t verdict;
} verdicts[] = {
#include "tests/filter_verdicts.inc"
};

static void test_verdicts_by_hand(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		struct filter_spec spec = modes[verdicts[i].mode];
		spec.promises = set_of(verdicts[i].promises);
		struct filter f = make(spec);
		uint32_t got = ask(&f, NATIVE, verdicts[i].nr, verdicts[i].args);
		if (got != verdicts[i].verdict)
			print_error("row %zu\n", i),
				complain(&spec, verdicts[i].nr, verdicts[i].args, got, verdicts[i].verdict);
		free(f.code);
	}
}

/* Never past the broker, whatever was promised, whatever the flags. */
static void test_no_path_and_no_way_out_is_ever_allowed(void **state)
{
	(void)state;
	static const char *const paths[] = {"open", "openat", "openat2", "creat", "stat", "lstat", "access",
		"faccessat", "faccessat2", "readlink", "readlinkat", "chdir", "fchdir", "chroot", "rename", "renameat",
		"renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat",
		"rmdir", "mknod", "mknodat", "chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat", "utime",
		"utimes", "futimesat", "utimensat", "truncate", "statfs", "getxattr", "lgetxattr", "setxattr",
		"lsetxattr", "listxattr", "llistxattr", "removexattr", "lremovexattr", "getxattrat", "setxattrat",
		"listxattrat", "removexattrat", "file_getattr", "file_setattr", "inotify_add_watch", "execve",
		"execveat", "connect", "bind", "name_to_handle_at", "open_by_handle_at", "mount", "umount2",
		"pivot_root", "swapon", "acct", "quotactl", "mq_open", "shmget", "fanotify_mark", "newfstatat", "statx",
		"getcwd", "umask"};
	static const char *const out[] = {"ptrace", "process_vm_readv", "process_vm_writev", "unshare", "setns"};
	static const char *const never[] = {"pidfd_getfd", "userfaultfd", "bpf", "perf_event_open", "keyctl",
		"init_module", "kexec_load", "iopl", "modify_ldt", "io_setup", "kcmp", "memfd_secret", "chroot",
		"add_key", "syslog"};
	for (size_t m = 0; m < MODES; m++) {
		struct filter_spec spec = modes[m];
		spec.promises = EVERY;
		if (!spec.base)
			continue;
		struct filter f = make(spec);
		for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
			int nr = syscall_number(paths[i]);
			if (nr < 0)
				continue;
			for (int bit = -1; bit < 32; bit++) {
				uint64_t flags = bit < 0 ? 0 : UINT64_C(1) << bit;
				bool fstat_like = (nr == SYS_newfstatat || nr == SYS_statx) && flags == AT_EMPTY_PATH &&
						  spec.empty_path_direct;
				/* 0x100000000: a pointer whose low half is zero is not NULL */
				const uint64_t args[6] = {5, 0x100000000, flags, flags, flags, flags};
				fstat_like = fstat_like || native(&spec, nr, args);
				assert_true(ask(&f, NATIVE, nr, args) != ALLOWED || fstat_like);
				const uint64_t cwd[6] = {(uint64_t)AT_FDCWD, 0x100000000, flags, flags, flags, flags};
				assert_true(ask(&f, NATIVE, nr, cwd) != ALLOWED || native(&spec, nr, cwd));
				const uint64_t cwd32[6] = {(uint32_t)AT_FDCWD, 0, flags, flags, flags, flags};
				assert_true(ask(&f, NATIVE, nr, cwd32) != ALLOWED || native(&spec, nr, cwd32));
			}
		}
		for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
			assert_int_equal(ask(&f, NATIVE, syscall_number(out[i]), (const uint64_t[6]){0}),
				spec.narrowable && !spec.kill ? NOTIFIED : KILLED);
		for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
			if (syscall_number(never[i]) >= 0)
				assert_int_equal(ask(&f, NATIVE, syscall_number(never[i]), (const uint64_t[6]){0}),
					spec.kill ? KILLED : NOTIFIED);
		free(f.code);
	}
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		struct filter_spec spec = {.promises = UINT64_C(1) << i, .base = true, .names_direct = true};
		struct filter f = make(spec);
		bool sockets = i == PROMISE_inet || i == PROMISE_unix || i == PROMISE_dns;
		for (uint64_t family = 0; family < 48; family++)
			for (uint64_t type = 0; type < 16; type++)
				for (uint64_t protocol = 0; protocol < 64; protocol++)
					if (ask(&f, NATIVE, SYS_socket, (const uint64_t[6]){family, type, protocol}) ==
						ALLOWED)
						assert_true(sockets && (family == 1 || family == 2 || family == 10) &&
							    type != 3);
		free(f.code);
	}
}

static void test_sizes(void **state)
{
	(void)state;
	static const char *const sets[] = {
		"", "stdio", "stdio rpath", "stdio rpath wpath cpath proc exec", "stdio inet", "stdio tty"};
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct filter_spec spec = modes[1];
		spec.promises = set_of(sets[i]);
		struct filter f = make(spec);
		unsigned steps = 0, worst = 0;
		uint32_t verdict;
		struct seccomp_data d = {.arch = NATIVE, .nr = SYS_read};
		assert_int_equal(bpf_sim(f.code, f.len, &d, &verdict, &steps), 0);
		for (int nr = 0; nr < 480; nr++) {
			unsigned n;
			d.nr = nr;
			assert_int_equal(bpf_sim(f.code, f.len, &d, &verdict, &n), 0);
			worst = n > worst ? n : worst;
		}
		print_message(
			"[%s]: %zu instructions; read runs %u, the longest way %u\n", sets[i], f.len, steps, worst);
		assert_true(i != 1 || f.len < 450);
		free(f.code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts_by_hand),
		cmocka_unit_test(test_no_path_and_no_way_out_is_ever_allowed),
		cmocka_unit_test(test_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
