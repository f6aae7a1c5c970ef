"""Processes that outlive the program that started them: started detached, known by pid and start time, ended by pid.

A pid alone may be another process's by now. It counts as ours only while the kernel reports the same start time.
"""
import os
import pathlib
import pwd
import signal
import subprocess
import time

# In the environment of all that a lab starts: the lab's directory. By it the lab finds what its daemons left behind.
MARK = "MATRIARCH_LAB"


class Trouble(Exception):
    """Something the user can act upon; printed without a stack trace."""


def run_as():
    """The user who runs the lab's programs: PostgreSQL refuses root, so root hands over to `postgres`."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise Trouble("there is no user postgres (it comes with Debian's package postgresql-common)")


def spawn(argv, log, directory, environment=None, descriptor=None):
    """Starts `argv` in a session of its own, its output appended to `log`, and returns (pid, start time).

    With `descriptor` its output goes there.
    """
    user = run_as()
    with open(log, "ab") as output:
        if user:
            os.fchown(output.fileno(), user.pw_uid, user.pw_gid)
        identity = {} if not user else dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        home = {} if not user else dict(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=descriptor or output, stderr=descriptor or output, cwd=directory,
            start_new_session=True,
            env={**os.environ, **home, **(environment or {})}, **identity)
    return process.pid, start_time(process.pid)


def start_time(pid):
    """When `pid` started, in clock ticks since boot; None when there is no such process or it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def alive(pid, started):
    reap()
    return started is not None and start_time(pid) == started


def reap():
    """Takes leave of children of ours that ended, so that they do not linger as zombies."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end(pid, started, signals):
    """Sends the signals one after another, each (signal, seconds to wait for the end), until the process is gone."""
    for number, seconds in signals:
        if not alive(pid, started):
            return True
        send(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not alive(pid, started):
                return True
            time.sleep(0.02)
    return not alive(pid, started)


def until(what, seconds, condition):
    """What `condition` returns as soon as that is something; Trouble where it is nothing for that long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.3)
    raise Trouble(f"not so within {seconds} s: {what}")


def rooted(root):
    """All processes whose root directory is `root`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/root") == str(root):
                found.append(int(pid))
        except OSError:
            pass
    return found


def children(pid):
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    except OSError:
        pass
    return found


def name(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def daemon_tree(pid):
    """The daemon and those of its descendants that are not PostgreSQL's."""
    found, waiting = [], [pid]
    while waiting:
        at = waiting.pop()
        if name(at).startswith("postgres"):
            continue
        found.append(at)
        waiting += children(at)
    return found


def postmaster(data):
    """The pid of the postmaster that runs in the directory `data`, or None."""
    try:
        pid = int((pathlib.Path(data) / "postmaster.pid").read_text().split()[0])
        if os.path.samefile(f"/proc/{pid}/cwd", data) and start_time(pid) is not None:
            return pid
    except (OSError, ValueError, IndexError):
        pass
    return None


def marked(value, variable=MARK):
    """All processes in whose environment `variable` has `value`: by default, those of the lab in that directory."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                if wanted in pathlib.Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
            except OSError:
                pass
    return [pid for pid in found if start_time(pid) is not None]
