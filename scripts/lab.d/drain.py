"""What reads a daemon's standard error, until a fault has it stop: then it is full, and stays so."""
import contextlib
import os
import select
import socket
import threading
import time


class Drain:
    """Carries what is written into `input` to the file `log`."""

    def __init__(self, kind, log):
        if kind == "socket":
            self.ours, self.theirs = socket.socketpair()
        else:
            ours, theirs = os.pipe()
            self.ours, self.theirs = open(ours, "rb", buffering=0), open(theirs, "wb", buffering=0)
        self.kind, self.log, self.is_stuck = kind, log, False
        threading.Thread(target=self.carry, daemon=True).start()

    @property
    def input(self): return self.theirs.fileno()

    def carry(self):
        with open(self.log, "ab", buffering=0) as log:
            while True:
                if self.is_stuck:
                    self.fill()
                    time.sleep(0.02)
                elif select.select([self.ours], [], [], 0.1)[0] and not self.is_stuck:
                    log.write(os.read(self.ours.fileno(), 1 << 16))

    def fill(self):
        """With a description of our own: that of the daemon must stay as it is."""
        with contextlib.suppress(BlockingIOError):
            if self.kind == "socket":
                while True:
                    self.theirs.send(b".\n" * 2048, socket.MSG_DONTWAIT)
            own = os.open(f"/proc/self/fd/{self.input}", os.O_WRONLY | os.O_NONBLOCK)
            try:
                while True:
                    os.write(own, b".\n" * 2048)
            finally:
                os.close(own)

    @contextlib.contextmanager
    def stuck(self):
        self.is_stuck = True
        time.sleep(0.3)
        try:
            yield
        finally:
            self.is_stuck = False
