"""Attacks on a REST API by thousands of clients without credentials, while another client probes its health.

The attackers have a process of their own, so that the probes wait for the server and not for them. What the server ends
is opened again at once, so that their number stays.

  slow        idle, half-open, a header or a body a byte at a time, answers that nobody reads: a fifth of each
  targets     30 kept connections that ask for targets that are costly to look at, as fast as they are answered
  silent      say nothing
  halves      begin a request and do not end it
  half-hellos begin a TLS handshake and do not end it
  ended       send a part of a TLS handshake's first message and end their side
  hellos      1,700 a second begin a TLS handshake with a message that cost them nothing, from where the probes come
  old-hellos  the same with messages of TLS 1.2, of which nobody can be asked to begin again
  hello-flood 400 others do so as fast as they are answered, from four other addresses
"""
import errno
import multiprocessing
import resource
import select
import socket
import ssl
import threading
import time

PLAIN = ["slow", "targets", "silent", "halves"]
TLS = ["slow", "silent", "half-hellos", "ended", "hellos", "old-hellos", "hello-flood"]
# How long a probe waits between connecting and saying something, in seconds.
DELAYS = [0, 0.0005, 0.001, 0.005, 0.02]
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


def hello(version=None):
    """A ClientHello that any number of clients may send."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.maximum_version = version
    output = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), output)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return output.read()


def costly_targets():
    """Requests of nearly 8 KiB whose targets consist of what is hard to tell apart as characters or as pairs."""
    flags, marks = "\U0001F1E6" * 2000, "\u0301" * 4000
    targets = ["/" + flags, "/leader" + marks, "/?" + "a&" * 4000, "/replica?lag=" + flags, "/replica?tag_a" + marks,
               "/replica?" + "&".join(f"tag_{n}={n}" for n in range(32))]
    return [f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            for target in targets for method in ("OPTIONS", "GET")]


class Flood:
    """Clients that all do the same: say `words`, once each or again after every answer. A process of its own."""

    def __init__(self, address, count, words, again=False, rate=None, sources=("",), ends=False):
        self.address, self.count, self.words = address, count, words
        self.again, self.rate, self.sources, self.ends = again, rate, sources, ends
        self.opened, self.stopped = multiprocessing.Value("l", 0), multiprocessing.Event()
        self.process = multiprocessing.get_context("fork").Process(target=self._run, daemon=True)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def _run(self):
        self.poll, self.clients, self.turn = select.epoll(), {}, 0
        begun, last = time.monotonic(), 0.0
        while not self.stopped.is_set():
            allowed = self.count - len(self.clients)
            if self.rate:
                due = int((time.monotonic() - begun) * self.rate) - self.opened.value
                allowed = max(0, min(allowed, due, 50))
            for _ in range(min(allowed, 500)):
                self._open()
            for number, event in self.poll.poll(0.001 if self.rate else 0.01, 1000):
                self._happened(number, event)
            # Whoever is paced and was not answered gives up after a second.
            if self.rate and time.monotonic() - last > 0.1:
                last = time.monotonic()
                for number in [n for n, (_, since) in self.clients.items() if last - since > 1]:
                    self._close(number)

    def _open(self):
        client = socket.socket()
        client.setblocking(False)
        source = self.sources[self.turn % len(self.sources)]
        self.turn += 1
        try:
            if source:
                client.bind((source, 0))
            client.connect_ex(self.address)
        except OSError:
            client.close()
            return
        self.clients[client.fileno()] = (client, time.monotonic())
        self.opened.value += 1
        wanted = select.EPOLLOUT if self.words else 0
        self.poll.register(client.fileno(), wanted | select.EPOLLIN | select.EPOLLRDHUP)

    def _happened(self, number, event):
        client, _ = self.clients[number]
        try:
            if event & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                return self._close(number)
            if event & select.EPOLLIN:
                if not client.recv(1 << 18):
                    return self._close(number)
                if not self.again:
                    # The answer has come: another client begins.
                    return self._close(number)
                self._say(client)
            if event & select.EPOLLOUT:
                self._say(client)
                self.poll.modify(number, select.EPOLLIN | select.EPOLLRDHUP)
        except BlockingIOError:
            pass
        except OSError:
            self._close(number)

    def _say(self, client):
        self.turn += 1
        words = self.words[self.turn % len(self.words)]
        # What does not fit is left out: the next is another request, or the server refuses the rest.
        client.send(words)
        if self.ends:
            client.shutdown(socket.SHUT_WR)

    def _close(self, number):
        client, _ = self.clients.pop(number)
        client.close()


def attack(kind, address, count):
    """The attackers of one kind, to be entered; and how many there are."""
    if kind == "slow":
        return Crowd(address, min(count, 2000)), min(count, 2000)
    if kind == "targets":
        return Flood(address, 30, [words * 4 for words in costly_targets()], again=True), 30
    if kind == "hellos":
        return Flood(address, count, [hello()], rate=1700), count
    if kind == "old-hellos":
        return Flood(address, count, [hello(ssl.TLSVersion.TLSv1_2)], rate=1700), count
    if kind == "ended":
        return Flood(address, 400, [hello()[:part] for part in (1, 3, 5, 100)], ends=True), 400
    if kind == "hello-flood":
        return Flood(address, 400, [hello()], sources=[f"127.0.0.{n}" for n in range(2, 6)]), 400
    words = {"silent": [], "halves": [b"GET /prim"], "half-hellos": [hello()[:100]]}[kind]
    return Flood(address, count, words), count


def allow_descriptors(count):
    """Lets this process open as many files as it may; how many clients that allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return min(count, most - 200)


def probe(address, tls, count, every=0.01):
    """Probes `/primary` so often, on a new connection each and with the delays in turn; the seconds that each took
    without its delay, None for one without the answer 200."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    took = []
    for number in range(count):
        begun = time.monotonic()
        took.append(_probe_once(address, context if tls else None, DELAYS[number % len(DELAYS)]))
        time.sleep(max(0, begun + every - time.monotonic()))
    return took


def _probe_once(address, context, delay):
    begun = time.monotonic()
    try:
        with socket.create_connection(address, timeout=3) as plain:
            paused = time.monotonic()
            if delay:
                time.sleep(delay)
            # What the pause took in truth is not the server's.
            begun += time.monotonic() - paused
            connection = context.wrap_socket(plain) if context else plain
            connection.sendall(b"GET /primary HTTP/1.0\r\n\r\n")
            answer = connection.recv(4096)
            return time.monotonic() - begun if answer.split(b" ")[1:2] == [b"200"] else None
    except OSError:
        return None


def percentile(took, part):
    good = sorted(value for value in took if value is not None)
    return good[min(len(good) - 1, int(part * len(good)))] * 1000 if good else float("nan")


def measure(kind, address, tls, count, probes):
    """The probes without and with the attackers."""
    alone = probe(address, tls, max(100, probes // 5))
    attackers, held = attack(kind, address, allow_descriptors(count))
    with attackers:
        time.sleep(2)
        before, begun = _opened(attackers), time.monotonic()
        among = probe(address, tls, probes)
        rate = (_opened(attackers) - before) / (time.monotonic() - begun)
    return {"attack": kind, "clients": held, "probes": len(among),
            "answered": sum(value is not None for value in among), "opened_per_s": rate,
            "p99_alone_ms": percentile(alone, 0.99), "p50_among_ms": percentile(among, 0.5),
            "p99_among_ms": percentile(among, 0.99), "max_among_ms": percentile(among, 1.0)}


def _opened(attackers):
    return attackers.opened if isinstance(attackers, Crowd) else attackers.opened.value
