# SPDX-License-Identifier: ISC
# ports.py COUNT: prints that many ports of the loopback addresses on which nothing listens, TCP or UDP, v4 or v6. They lie
# below those that the kernel hands out by itself, so that no client's socket takes one meanwhile.
import random
import socket
import sys

KINDS = [(f, t) for f in (socket.AF_INET, socket.AF_INET6) for t in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]


def free(port):
    for family, kind in KINDS:
        with socket.socket(family, kind) as s:
            try:
                s.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
            except OSError:
                return False
    return True


with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
    top = int(f.read().split()[0])
found = set()
while len(found) < int(sys.argv[1]):
    port = random.randrange(min(20000, top - 5000), top)
    if free(port):
        found.add(port)
print(*found)
