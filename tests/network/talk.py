# SPDX-License-Identifier: ISC
# talk.py WHAT PORT [HOST]: python3 as a client, one word for each way to be one, and as a server of the kind that it is
# started as with "serve-" before it. Prints what it got.
import asyncio
import hashlib
import multiprocessing
import socket
import socketserver
import sys
import threading
import urllib.request

what, port = sys.argv[1], int(sys.argv[2])
here = ("127.0.0.1", port)


def urllib_get():
    data = urllib.request.urlopen("http://127.0.0.1:%d/big" % port).read()
    print(len(data), hashlib.sha256(data).hexdigest())


async def ask(number):
    reader, writer = await asyncio.open_connection(*here)
    writer.write(b"%d\n" % number)
    await writer.drain()
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line)


async def asyncio_many():
    print(sum(await asyncio.gather(*(ask(n) for n in range(100)))))


async def asyncio_serve():
    async def one(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(one, *here, backlog=256)
    async with server:
        await server.serve_forever()


def datagrams():
    # Both ways to name whom it is for.
    total = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        for n in range(50):
            s.sendto(b"x" * n, here)
            total += len(s.recvfrom(1000)[0])
        s.connect(here)
        for n in range(50):
            s.send(b"y" * n)
            total += len(s.recv(1000))
    print(total)


def datagrams_serve():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(here)
        while True:
            data, address = s.recvfrom(65536)
            s.sendto(data, address)


def talk(count, tell):
    good = 0
    for n in range(count):
        try:
            with socket.create_connection(here) as s:
                s.sendall(b"%d" % n)
                good += s.recv(100) == b"%d" % n
        except OSError as e:
            print(e)
            break
    tell(good)


def many():
    # Threads, and processes that each make sockets of their own.
    goods = []
    threads = [threading.Thread(target=talk, args=(20, goods.append)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for _ in range(3):
        mine, other = multiprocessing.Pipe()
        p = multiprocessing.Process(target=talk, args=(20, other.send))
        p.start()
        goods.append(mine.recv() if mine.poll(10) else -1)
        p.join()
    print(sum(goods))


def threads_serve():
    class Echo(socketserver.BaseRequestHandler):
        def handle(self):
            while data := self.request.recv(65536):
                self.request.sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 256

    Server(here, Echo).serve_forever()


if what == "urllib":
    urllib_get()
elif what == "asyncio":
    asyncio.run(asyncio_many())
elif what == "serve-asyncio":
    asyncio.run(asyncio_serve())
else:
    {"datagrams": datagrams, "serve-datagrams": datagrams_serve, "many": many, "serve-threads": threads_serve}[what]()
