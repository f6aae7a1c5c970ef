"""Holds thousands of connections that behave badly open to a REST API while another client probes its health.

Five kinds, as many of each: idle ones; half-open ones, which begin a request and then say nothing; ones that send their
header a byte at a time; ones that send a body a byte at a time; ones that ask for much and read nothing. What the server
ends is opened again at once, so that the number held stays.
"""
import errno
import socket
import ssl
import threading
import time

KINDS = ["idle", "half-open", "slow header", "slow body", "slow reader"]
HEAD = b"GET /primary HTTP/1.1\r\nHost: a\r\nX-Padding: " + b"x" * 4000
BODY = b"PATCH /config HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
GREED = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 200


class Client:
    """One bad client on a socket that never blocks."""

    def __init__(self, number, address):
        self.kind, self.address, self.connection = KINDS[number % len(KINDS)], address, None

    def open(self):
        self.connection = socket.socket()
        self.connection.setblocking(False)
        if self.kind == "slow reader":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.connection.connect_ex(self.address)
        self.sent = 0

    def act(self):
        """Does what its kind does about ten times a second. False when the server has ended it."""
        begins = {"idle": b"", "half-open": b"GET /prim", "slow header": HEAD[self.sent:self.sent + 1],
                  "slow body": BODY if self.sent == 0 else b" ", "slow reader": GREED if self.sent == 0 else b""}
        data = begins[self.kind]
        if self.kind == "half-open" and self.sent:
            data = b""
        try:
            if data:
                self.sent += self.connection.send(data)
            if self.kind != "slow reader":
                return self.connection.recv(1, socket.MSG_PEEK) not in (b"",)
            return self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EINPROGRESS, errno.ENOTCONN)


class Crowd:
    """Many of them, on one thread."""

    def __init__(self, address, count):
        self.clients = [Client(number, address) for number in range(count)]
        self.opened, self.turn, self.stopped = 0, 0, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        for client in self.clients:
            client.open()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for client in self.clients:
            client.connection.close()

    def _run(self):
        while not self.stopped.wait(0.01):
            # A tenth of them each time, so that the load is even.
            self.turn = (self.turn + 1) % 10
            for client in self.clients[self.turn::10]:
                if not client.act():
                    client.connection.close()
                    client.open()
                    self.opened += 1


def probe(address, tls, seconds, every=0.01):
    """Probes `/primary` on a new connection each; the seconds that each took, None for one without the answer 200."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        took.append(_probe_once(address, context if tls else None, begun))
        time.sleep(max(0, begun + every - time.monotonic()))
    return took


def _probe_once(address, context, begun):
    try:
        with socket.create_connection(address, timeout=3) as plain:
            connection = context.wrap_socket(plain) if context else plain
            connection.sendall(b"GET /primary HTTP/1.0\r\n\r\n")
            answer = connection.recv(4096)
            return time.monotonic() - begun if answer.split(b" ")[1:2] == [b"200"] else None
    except OSError:
        return None


def percentile(took, part):
    good = sorted(value for value in took if value is not None)
    return good[min(len(good) - 1, int(part * len(good)))] * 1000 if good else float("nan")


def measure(address, tls, count, seconds):
    """The probes without and with the crowd."""
    alone = probe(address, tls, seconds)
    with Crowd(address, count) as crowd:
        time.sleep(1)
        among = probe(address, tls, seconds)
        opened = crowd.opened
    return {"clients": count, "probes": len(among), "answered": sum(value is not None for value in among),
            "reopened": opened, "p99_alone_ms": percentile(alone, 0.99), "p99_among_ms": percentile(among, 0.99),
            "max_among_ms": percentile(among, 1.0)}
