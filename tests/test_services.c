/* SPDX-License-Identifier: ISC */
/* Unit tests of the table of services' sockets. Needs nothing of the kernel. */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void test_services(void **state)
{
	(void)state;
	static const char *const yes[] = {"/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket",
		"/run/user/1000/bus", "/run/user/1000/dbus-Ab12", "/tmp/dbus-Ab12", "/tmp/.X11-unix/X0",
		"/tmp/.ICE-unix/1234", "/run/user/1000/wayland-0", "/run/user/0/wayland-1",
		"/run/user/1000/pulse/native", "/run/pulse/native", "/tmp/pulse-Xx/native", "/run/user/1000/pipewire-0",
		"/run/systemd/private", "/run/systemd/journal/socket", "/run/systemd/resolve/io.systemd.Resolve",
		"/run/user/1000/systemd/private", "/run/user/1000/systemd/notify/a", "/tmp/ssh-Xxxx/agent.12",
		"/run/user/1000/openssh_agent", "/run/user/1000/keyring/ssh", "/run/user/1000/keyring/control",
		"/run/user/1000/gnupg/S.gpg-agent", "/home/a/.gnupg/S.gpg-agent.ssh", "/root/.ssh/agent/s.x",
		"/run/user/1000/at-spi/bus_0", "/run/user/1000/gvfsd/socket-Xx", "/run/docker.sock",
		"/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/user/1000/podman/podman.sock",
		"/run/crio/crio.sock", "/run/libvirt/libvirt-sock", "/run/libvirt/virtlogd-sock", "/run/snapd.socket",
		"/run/snapd-snap.socket", "/run/cups/cups.sock", "/run/polkit/agent-helper.socket", "/run/udev/control",
		"/run/avahi-daemon/socket", "/run/NetworkManager/private", "/run/acpid.socket",
		"/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket", "/run/lxd/unix.socket",
		"/tmp/tmux-1000/default", "/run/screen/S-a/1.b", "/run/user/1000/sway-ipc.1000.12.sock",
		"/run/user/1000/emacs/server", "/home/a/.docker/run/docker.sock", "/run/rpcbind.sock"};
	static const char *const no[] = {"/", "/run", "/tmp/a", "/tmp/app/bus", "/run/app/bus", "/run/user/1000/app/s",
		"/run/user/1000", "/run/redis/redis.sock", "/run/mysqld/mysqld.sock", "/srv/run/dbus/system_bus_socket",
		"/home/a/run/docker.sock", "/tmp/ssh-agent", "/tmp/dbus-a/b", "/tmp/X11-unix/X0",
		"/run/dbusx/system_bus_socket", "/home/a/.gnupgx/S.gpg-agent", "/home/a/gnupg/S.gpg-agent", "/dev/log",
		"/var/runx/a", "/var/run", "", "/run/user/1000/pulsex/native"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!policy_service(yes[i]))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (policy_service(no[i]))
			fail_msg("%s", no[i]);
}

/* Whatever directory above a socket is moved takes it away. */
static void test_below(void **state)
{
	(void)state;
	static const char *const yes[] = {"/", "/run", "/run/dbus", "/run/user", "/run/user/1000",
		"/run/user/1000/pulse", "/run/user/1000/systemd/notify", "/tmp", "/tmp/.X11-unix", "/tmp/ssh-Xxxx",
		"/tmp/pulse-Xx", "/var/run", "/var/run/dbus", "/var", "/var/lib", "/home/a/.gnupg",
		"/home/a/.config/pulse", "/home/a/.ssh/agent", "/run/systemd/journal"};
	static const char *const no[] = {"/home", "/home/a", "/tmp/app", "/run/app", "/run/user/1000/app", "/usr",
		"/runx", "/ru", "/tmp/.X11-uni", "/tmp/.X11-unixx", "/run/user/1000/puls", "/home/a/.gnup", "/srv/run"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!policy_services_below(yes[i]))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (policy_services_below(no[i]))
			fail_msg("%s", no[i]);
	/* Each of a service's own path, component by component, may hold it. */
	char path[] = "/run/user/1000/keyring/ssh";
	for (char *slash; (slash = strrchr(path, '/')) != path;) {
		*slash = 0;
		if (!policy_services_below(path))
			fail_msg("%s", path);
	}
}

/* A path is the target's, and the lane waits for the answer. */
static void test_long(void **state)
{
	(void)state;
	static char path[4096];
	struct timespec began, ended;
	for (size_t i = 0; i + 1 < sizeof(path); i += 6)
		memcpy(path + i, "/.gnup", sizeof(path) - 1 - i < 6 ? sizeof(path) - 1 - i : 6);
	clock_gettime(CLOCK_MONOTONIC, &began);
	assert_false(policy_service(path));
	memset(path, '/', sizeof(path) - 1);
	assert_false(policy_service(path));
	memset(path + 15, 'a', sizeof(path) - 16);
	static const char begin[] = "/run/user/1000/";
	for (size_t i = 0; begin[i]; i++)
		path[i] = begin[i];
	assert_true(policy_service(path));
	clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_true(ended.tv_sec - began.tv_sec < 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
