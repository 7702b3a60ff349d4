/* SPDX-License-Identifier: ISC */
/* Owns the table of the sockets where services of the system, of the session and of desktops listen. Who may speak to one
 * of them may mostly do what its user, or root, may; so a directory that is unveiled does not reach them. Pure. */
#include "policy/policy.h"

#include <string.h>

/* "*" is any part of one name; "**" is anything, at the beginning or the end. */
static const char services[] =
	/* What lies there itself: container engines, acpid, snapd, rpcbind; buses, compositors, sound, agents of keys. */
	"/run/*\0"
	"/run/user/*/*\0"
	/* of the system */
	"/run/dbus/**\0"
	"/run/systemd/**\0"
	"/run/udev/**\0"
	"/run/docker/**\0"
	"/run/containerd/**\0"
	"/run/podman/**\0"
	"/run/crio/**\0"
	"/run/buildkit/**\0"
	"/run/k3s/**\0"
	"/run/libvirt/**\0"
	"/run/lxd/**\0"
	"/run/lxc/**\0"
	"/run/incus/**\0"
	"/var/lib/lxd/**\0"
	"/var/lib/incus/**\0"
	"/var/snap/lxd/**\0"
	"/run/snapd/**\0"
	"/run/cups/**\0"
	"/run/polkit/**\0"
	"/run/avahi-daemon/**\0"
	"/run/NetworkManager/**\0"
	"/run/wpa_supplicant/**\0"
	"/run/iwd/**\0"
	"/run/bluetooth/**\0"
	"/run/pcscd/**\0"
	"/run/lvm/**\0"
	"/run/pulse/**\0"
	"/run/pipewire/**\0"
	"/run/screen/**\0"
	"/run/sssd/**\0"
	"/var/lib/sss/pipes/**\0"
	"/run/nscd/**\0"
	/* of a session */
	"/run/user/*/systemd/**\0"
	"/run/user/*/pulse/**\0"
	"/run/user/*/keyring/**\0"
	"/run/user/*/gnupg/**\0"
	"/run/user/*/gcr/**\0"
	"/run/user/*/at-spi/**\0"
	"/run/user/*/gvfs/**\0"
	"/run/user/*/gvfsd/**\0"
	"/run/user/*/doc/**\0"
	"/run/user/*/dbus-1/**\0"
	"/run/user/*/ICE-unix/**\0"
	"/run/user/*/ssh-agent/**\0"
	"/run/user/*/podman/**\0"
	"/run/user/*/docker/**\0"
	"/run/user/*/containerd/**\0"
	"/run/user/*/buildkit/**\0"
	"/run/user/*/libvirt/**\0"
	"/run/user/*/snapd/**\0"
	"/run/user/*/p11-kit/**\0"
	"/run/user/*/emacs/**\0"
	"/run/user/*/i3/**\0"
	"/run/user/*/hypr/**\0"
	"/tmp/.X11-unix/**\0"
	"/tmp/.ICE-unix/**\0"
	"/tmp/.XIM-unix/**\0"
	"/tmp/.font-unix/**\0"
	"/tmp/dbus-*\0"
	"/tmp/pulse-*/**\0"
	"/tmp/ssh-*/**\0"
	"/tmp/gpg-*/**\0"
	"/tmp/keyring-*/**\0"
	"/tmp/tmux-*/**\0"
	"/tmp/screens/**\0"
	"/tmp/emacs*/**\0"
	"/tmp/at-spi2-*/**\0"
	/* of a home directory */
	"**/.gnupg/**\0"
	"**/.ssh/**\0"
	"**/.docker/**\0"
	"**/.emacs.d/**\0"
	"**/.1password/**\0"
	"**/.config/pulse/**\0"
	"**/.pulse/**\0"
	"**/.cache/at-spi/**\0";

/* With `below` also whether something that begins with path and a slash may match, where more than a beginning that
 * anything matches speaks for that. */
static bool matches(const char *pattern, const char *path, bool below)
{
	for (; *pattern; pattern++, path++) {
		if (*pattern != '*') {
			if (below && !*path && *pattern == '/')
				return true;
			if (*pattern != *path)
				return false;
			continue;
		}
		bool any = pattern[1] == '*';
		pattern += any ? 2 : 1;
		if (!*pattern)
			return any || (!below && !strchr(path, '/'));
		for (; *path && (any || *path != '/'); path++)
			if (matches(pattern, path, below))
				return true;
		return !any && matches(pattern, path, below);
	}
	return !*path;
}

static bool find(const char *path, bool below)
{
	/* The same place, also where it is no link. */
	static const char old[] = "/var/run/";
	path += strncmp(path, old, sizeof(old) - 1) == 0 ? strlen("/var") : 0;
	for (const char *service = services; *service; service += strlen(service) + 1)
		if (matches(service, path, below))
			return true;
	return false;
}

bool policy_service(const char *path)
{
	return find(path, false);
}

bool policy_services_below(const char *path)
{
	return !path[1] || strcmp(path, "/var/run") == 0 || find(path, true);
}
