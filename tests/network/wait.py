# SPDX-License-Identifier: ISC
# wait.py PID SECONDS ADDRESS...: until somebody listens at each ADDRESS: a port of 127.0.0.1, udp:PORT (where what comes is
# echoed), or a path. Fails when the process ends before, or when it takes longer.
import os
import socket
import sys
import time

pid, seconds, addresses = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
end = time.monotonic() + seconds


def alive():
    try:
        with open("/proc/%s/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def answers(address):
    try:
        if address.startswith("/"):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(address)
        elif address.startswith("udp:"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(0.1)
                s.connect(("127.0.0.1", int(address[4:])))
                s.send(b"?")
                s.recv(10)
        else:
            socket.create_connection(("127.0.0.1", int(address))).close()
        return True
    except OSError:
        return False


for address in addresses:
    while not answers(address):
        if not alive() or time.monotonic() > end:
            sys.exit(1)
        time.sleep(0.01)
