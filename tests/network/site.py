# SPDX-License-Identifier: ISC
# site.py DIRECTORY: what clients are tried on. HTTP over v4, v6 and a local socket, a second port to be sent to by the first,
# an echo of TCP and UDP. Writes DIRECTORY/ports, shell assignments, when all of it listens. Serves DIRECTORY/www.
import hashlib
import http.server
import os
import socket
import socketserver
import sys
import threading

base = sys.argv[1]


class Site(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=base + "/www")

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path.startswith("/number/"):
            self.answer(self.path[8:].encode() + b"\n")
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:%d/small" % second.server_address[1])
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode() + b"\n")


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "site", 0


class Six(Server):
    address_family = socket.AF_INET6


class Local(Server):
    address_family = socket.AF_UNIX


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class EchoDatagrams(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(self.request[0], self.client_address)


class EchoServer(socketserver.ThreadingTCPServer):
    request_queue_size = 256
    daemon_threads = True


first, second = Server(("127.0.0.1", 0), Site), Server(("127.0.0.1", 0), Site)
six = Six(("::1", 0), Site)
local = Local(base + "/site.sock", Site)
echo = EchoServer(("127.0.0.1", 0), Echo)
datagrams = socketserver.UDPServer(("127.0.0.1", 0), EchoDatagrams)
for server in (first, second, six, local, echo, datagrams):
    threading.Thread(target=server.serve_forever).start()
with open(base + "/ports.new", "w") as f:
    for name, server in (("http", first), ("second", second), ("six", six), ("echo", echo), ("datagrams", datagrams)):
        print("%s=%d" % (name, server.server_address[1]), file=f)
os.rename(base + "/ports.new", base + "/ports")
