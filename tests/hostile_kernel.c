/* SPDX-License-Identifier: ISC */
/*
 * Hostile attempts on the machine: mounts, modules, clocks, keys, terminals. Each has arguments that do no harm even
 * where nothing stops it. Runs in the target.
 */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#endif
#ifndef SYS_listmount
#define SYS_listmount 458
#endif
#ifndef SYS_lsm_set_self_attr
#define SYS_lsm_set_self_attr 460
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#define NO "EPERM"
#define CALL(name, ...)                                                                                                \
	static int name(const struct hostile *h)                                                                       \
	{                                                                                                              \
		(void)h;                                                                                               \
		return SYS(__VA_ARGS__);                                                                               \
	}

CALL(io_uring, SYS_io_uring_setup, 4, (uint32_t[32]){0})
CALL(io_uring_enter, SYS_io_uring_enter, 0, 0, 0, 0, 0, 0)
CALL(io_uring_register, SYS_io_uring_register, 0, 0, 0, 0)
CALL(mount_tmpfs, SYS_mount, "none", join(h, "secret/dir"), "tmpfs", 0, 0)
CALL(mount_bind, SYS_mount, join(h, "secret"), h->open, 0, MS_BIND, 0)
CALL(unmount, SYS_umount2, join(h, "secret/dir"), MNT_DETACH)
CALL(pivot, SYS_pivot_root, h->open, h->open)
CALL(change_root, SYS_chroot, join(h, "secret"))
CALL(tree_open, SYS_open_tree, AT_FDCWD, join(h, "secret"), 1)
CALL(tree_move, SYS_move_mount, 0, "", AT_FDCWD, h->open, 4)
CALL(fs_open, SYS_fsopen, "tmpfs", 0)
CALL(fs_mount, SYS_fsmount, 0, 0, 0)
CALL(fs_pick, SYS_fspick, AT_FDCWD, h->open, 0)
CALL(mount_attributes, SYS_mount_setattr, AT_FDCWD, h->open, 0, (uint64_t[4]){0}, 32)
CALL(mount_list, SYS_listmount, (uint64_t[3]){24, UINT64_MAX}, (uint64_t[16]){0}, 16, 0)
CALL(mount_status, SYS_statmount, (uint64_t[3]){24, 1, 1}, (uint64_t[64]){0}, 512, 0)
CALL(lsm_attribute, SYS_lsm_set_self_attr, 100, (uint64_t[8]){0}, 64, 0)
CALL(bpf, SYS_bpf, 0, (uint32_t[16]){2, 4, 4, 1}, 64)
CALL(perf, SYS_perf_event_open, (uint32_t[32]){1, 128}, 0, -1, -1, 0)
CALL(fault_descriptor, SYS_userfaultfd, 1)
CALL(key_control, SYS_keyctl, 0, -3, 1, 0, 0)
CALL(key_add, SYS_add_key, "user", "hostile", "x", 1, -1)
CALL(key_request, SYS_request_key, "user", "hostile", NULL, 0)
CALL(module_init, SYS_init_module, "x", 1, "")
CALL(module_finit, SYS_finit_module, 0, "", 0)
CALL(module_delete, SYS_delete_module, "airlock_none", O_NONBLOCK)
CALL(kexec, SYS_kexec_load, 0, 0, NULL, 0xffff)
CALL(kexec_file, SYS_kexec_file_load, 0, 0, 0, NULL, 0xffff)
CALL(restart, SYS_reboot, 1, 2, 3, NULL)
CALL(swap_on, SYS_swapon, join(h, "none"), 0)
CALL(swap_off, SYS_swapoff, join(h, "none"))
CALL(clock_set_day, SYS_settimeofday, (int64_t[2]){0, 5000000}, NULL)
CALL(clock_set, SYS_clock_settime, 0, (int64_t[2]){0, 5000000000})
CALL(clock_adjust, SYS_adjtimex, (uint32_t[64]){0x8000})
CALL(host_name, SYS_sethostname, "x", -1)
CALL(domain_name, SYS_setdomainname, "x", -1)
CALL(personality_set, SYS_personality, 0x0040000)
CALL(mq, SYS_mq_open, "airlock-hostile", O_CREAT | O_RDWR, 0600, NULL)
CALL(shared_memory, SYS_shmget, 0, 4096, 0600)
CALL(message_queue, SYS_msgget, 0, 0600)
CALL(semaphores, SYS_semget, 0, 1, 0600)
CALL(kernel_log, SYS_syslog, 3, (char[64]){0}, 64)
CALL(accounting, SYS_acct, join(h, "none"))
CALL(quota, SYS_quotactl, 0x80000700U, "none", 0, NULL)
CALL(hang_up, SYS_vhangup)
CALL(cookie, SYS_lookup_dcookie, 1UL, (char[64]){0}, 64)
CALL(memory_policy, SYS_migrate_pages, h->stranger, 1, &(long){1}, &(long){1})
CALL(page_move, SYS_move_pages, h->stranger, 0, NULL, NULL, NULL, 0)
CALL(process_advise, SYS_process_madvise, 0, NULL, 0, 0, 0)
CALL(library_use, SYS_uselib, h->secret)
CALL(nfs_server, SYS_nfsservctl, 0, 0, 0)
CALL(sysfs_list, SYS_sysfs, 3)
CALL(device_usage, SYS_ustat, 0x801, (char[64]){0})
CALL(secret_memory, SYS_memfd_secret, 0)
CALL(unknown_number, 1000)
CALL(unknown_large, 0x3fffffff)
CALL(airlock_nonsense, 44040, 9999, 1, -1)
CALL(airlock_null, 44040, 1, 0, 4096)
CALL(airlock_huge, 44040, 1, h->secret, 1UL << 40)
#ifdef __x86_64__
CALL(table_modify, SYS_modify_ldt, 0, (char[64]){0}, 64)
CALL(port_level, SYS_iopl, 3)
CALL(port_access, SYS_ioperm, 0x80, 1, 1)
CALL(base_set, SYS_arch_prctl, 0x1012, 1)
#endif
CALL(terminal_push, SYS_ioctl, 0, TIOCSTI, "x")
CALL(terminal_push_high, SYS_ioctl, 0, 0x100000000 | TIOCSTI, "x")
CALL(terminal_console, SYS_ioctl, 0, TIOCLINUX, "\3")
CALL(terminal_take, SYS_ioctl, 0, TIOCSCTTY, 1)
CALL(terminal_out, SYS_ioctl, 1, TIOCSTI, "x")
CALL(file_flags, SYS_ioctl, 0, 0x40086602, &(int){0x10})
CALL(file_clone, SYS_ioctl, 0, 0x40049409, 0)
CALL(fs_freeze, SYS_ioctl, 0, 0xc0045877, 0)
CALL(landlock_own, SYS_landlock_create_ruleset, NULL, 0, 1)

const struct attempt attempts_kernel[] = {
	{"io_uring", io_uring, "ENOSYS", 0, 0, 1},
	{"io_uring_enter", io_uring_enter, "ENOSYS", 0, 0, 0},
	{"io_uring_register", io_uring_register, "ENOSYS", 0, 0, 0},
	{"mount_tmpfs", mount_tmpfs, NO, 0, 0, 0},
	{"mount_bind", mount_bind, NO, 0, 0, 0},
	{"unmount", unmount, NO, 0, 0, 0},
	{"pivot_root", pivot, NO, 0, 0, 0},
	{"chroot", change_root, NO, 0, 0, 1},
	{"open_tree", tree_open, "ENOSYS", 0, 0, 1},
	{"move_mount", tree_move, "ENOSYS", 0, 0, 0},
	{"fsopen", fs_open, "ENOSYS", 0, 0, 1},
	{"fsmount", fs_mount, "ENOSYS", 0, 0, 0},
	{"fspick", fs_pick, "ENOSYS", 0, 0, 0},
	{"mount_setattr", mount_attributes, "EPERM|ENOSYS", 0, 0, 0},
	{"listmount", mount_list, "ENOSYS|EPERM", 0, 0, 0},
	{"statmount", mount_status, "ENOSYS|EPERM", 0, 0, 0},
	{"lsm_set_self_attr", lsm_attribute, "ENOSYS|EPERM", 0, 0, 0},
	{"bpf", bpf, NO, 0, 0, 0},
	{"bpf_promised", bpf, NO, "bpf", 0, 0},
	{"perf_event_open", perf, NO, 0, 0, 0},
	{"userfaultfd", fault_descriptor, NO, 0, 0, 1},
	{"keyctl", key_control, NO, 0, 0, 0},
	{"add_key", key_add, NO, 0, 0, 0},
	{"request_key", key_request, NO, 0, 0, 0},
	{"init_module", module_init, NO, 0, 0, 0},
	{"finit_module", module_finit, NO, 0, 0, 0},
	{"delete_module", module_delete, NO, 0, 0, 0},
	{"kexec_load", kexec, NO, 0, 0, 0},
	{"kexec_file_load", kexec_file, NO, 0, 0, 0},
	{"reboot", restart, NO, 0, 0, 0},
	{"swapon", swap_on, NO, 0, 0, 0},
	{"swapoff", swap_off, NO, 0, 0, 0},
	{"settimeofday", clock_set_day, NO, 0, 0, 0},
	{"clock_settime", clock_set, NO, 0, 0, 0},
	{"adjtimex", clock_adjust, NO, 0, 0, 0},
	{"sethostname", host_name, NO, 0, 0, 0},
	{"setdomainname", domain_name, NO, 0, 0, 0},
	{"personality", personality_set, NO, 0, 0, 1},
	{"mq_open", mq, NO, 0, 0, 0},
	{"shmget", shared_memory, NO, 0, 0, 0},
	{"msgget", message_queue, NO, 0, 0, 0},
	{"semget", semaphores, NO, 0, 0, 0},
	{"syslog", kernel_log, NO, 0, 0, 0},
	{"acct", accounting, NO, 0, 0, 0},
	{"quotactl", quota, NO, 0, 0, 0},
	{"vhangup", hang_up, NO, 0, 0, 0},
	{"lookup_dcookie", cookie, "EPERM|ENOSYS", 0, 0, 0},
	{"migrate_pages", memory_policy, NO, 0, 0, 0},
	{"move_pages", page_move, NO, 0, 0, 0},
	{"process_madvise", process_advise, "EPERM|ENOSYS", 0, 0, 0},
	{"uselib", library_use, "EPERM|ENOSYS", 0, 0, 0},
	{"nfsservctl", nfs_server, "EPERM|ENOSYS", 0, 0, 0},
	{"sysfs", sysfs_list, "EPERM|ENOSYS", 0, 0, 0},
	{"ustat", device_usage, "EPERM|ENOSYS", 0, 0, 0},
	{"memfd_secret", secret_memory, "EPERM|ENOSYS", 0, 0, 0},
	{"unknown_number", unknown_number, "ENOSYS", 0, 0, 0},
	{"unknown_large", unknown_large, "ENOSYS", 0, 0, 0},
	{"airlock_nonsense", airlock_nonsense, "EINVAL|ENOSYS|EPERM|EFAULT", 0, 0, 0},
	{"airlock_null", airlock_null, "EINVAL|ENOSYS|EPERM|EFAULT", 0, 0, 0},
	{"airlock_huge", airlock_huge, "EINVAL|ENOSYS|EPERM|EFAULT|E2BIG|ENAMETOOLONG", 0, 0, 0},
#ifdef __x86_64__
	{"modify_ldt", table_modify, NO, 0, 0, 1},
	{"iopl", port_level, NO, 0, 0, 0},
	{"ioperm", port_access, NO, 0, 0, 0},
	{"arch_prctl_cpuid", base_set, NO, 0, 0, 0},
#endif
	{"tiocsti", terminal_push, NO, 0, 0, 0},
	{"tiocsti_high_bits", terminal_push_high, NO, 0, 0, 0},
	{"tiocsti_tty", terminal_push, NO, "tty", 0, 0},
	{"tiocsti_high_bits_tty", terminal_push_high, NO, "tty", 0, 0},
	{"tiocsti_stdout", terminal_out, NO, "tty", 0, 0},
	{"tioclinux", terminal_console, NO, "tty", 0, 0},
	{"tiocsctty", terminal_take, NO, 0, 0, 0},
	{"ioctl_file_flags", file_flags, NO, 0, 0, 0},
	{"ioctl_clone", file_clone, NO, 0, 0, 0},
	{"ioctl_freeze", fs_freeze, NO, 0, 0, 0},
	{"landlock_own", landlock_own, "EPERM|ENOSYS", 0, 0, 0},
	{0},
};
