"""Load on processors and disk, by processes of our own."""
import os
import signal


def description(count):
    return f"{count} processes that compute, {max(1, count // 2)} that write and sync"


def compute():
    value = 1
    while True:
        value = value * 1103515245 + 12345 & 0xFFFFFFFF


def write(path):
    block = os.urandom(1 << 20)
    while True:
        with open(path, "wb", buffering=0) as file:
            for _ in range(64):
                file.write(block)
                os.fdatasync(file.fileno())


class Load:
    """Runs while the context is open."""

    def __init__(self, directory, count, nice):
        self.directory, self.count, self.nice, self.pids, self.files = directory, count, nice, [], []

    def __enter__(self):
        for _ in range(self.count):
            self._start(compute)
        for number in range(max(1, self.count // 2)):
            path = self.directory / f"load-{number}"
            self.files.append(path)
            self._start(lambda: write(path))
        return self

    def _start(self, body):
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self.pids.append(pid)
            return
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            end_with_parent(parent)
            os.nice(self.nice)
            body()
        finally:
            os._exit(1)

    def __exit__(self, *_):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):  # somebody else has taken leave of it
                pass
        for path in self.files:
            path.unlink(missing_ok=True)


def end_with_parent(parent):
    """The load must not go on when the run is killed."""
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
