"""Faults about the guardian and about programs that write in a data directory."""
import os
import pathlib
import signal
import time

import breakages
import processes
from processes import Trouble


def logpipe(lab, leader, watch):
    """nobody reads the pipe that is its standard error, and the daemon is killed (odd rounds) or hangs"""
    return stuck_log(lab, leader, watch)


def logsocket(lab, leader, watch):
    """likewise for a socket, as journald's"""
    return stuck_log(lab, leader, watch)


def stuck_log(lab, leader, watch):
    with lab.drains[leader].stuck():
        if watch.round % 2:
            breakages.kill_all(lab.helpers(leader))
            time.sleep(breakages.after_death(lab))
        else:
            with breakages.frozen([lab.daemon_pid(leader)]):
                time.sleep(breakages.while_frozen(lab))
    breakages.bring_back(lab, leader)
    return {"how": "killed" if watch.round % 2 else "frozen"}


def bothfreeze(lab, leader, watch):
    """the daemon and the guardian hang (SIGSTOP) and go on"""
    with breakages.frozen([lab.daemon_pid(leader), lab.guardian(leader)]):
        time.sleep(breakages.while_frozen(lab))


def orphanrewind(lab, leader, watch):
    """the daemon is killed while its pg_rewind does not move; in even rounds what holds it does not either"""
    part(lab, leader, watch)
    lab.start_node(leader)
    rewind = caught(lab, leader)
    holder = parent(rewind)
    stopped = [rewind] if watch.round % 2 else [holder, rewind]
    for pid in stopped:
        processes.send(pid, signal.SIGSTOP)
    identity = processes.start_time(rewind)
    breakages.kill_all([lab.daemon_pid(leader)])
    lab.wait("end of the daemon", 10, lambda: "it runs" if lab.is_up(leader) else None)
    lab.start_node(leader)
    broken, until = [], time.monotonic() + 60 + 2 * lab.ttl
    while processes.alive(rewind, identity):
        if lab.postmaster(leader):
            broken = ["a server was started beside a pg_rewind of an earlier daemon"]
            break
        if time.monotonic() > until:
            raise Trouble("pg_rewind of an earlier daemon is left alone")
        time.sleep(0.005)
    for pid in stopped:
        processes.send(pid, signal.SIGCONT)
    return {"also_broken": broken, "how": "held" if watch.round % 2 else "free"}


def part(lab, leader, watch):
    """The leader commits what nobody else gets, and is lost."""
    postmaster = lab.postmaster(leader)
    senders = [pid for pid in processes.children(postmaster) if "walsender" in title(pid)]
    with breakages.frozen(senders):
        before = len(watch.writer.rows)
        lab.wait("rows on the leader alone", 20, lambda: None if len(watch.writer.rows) > before + 3 else "none")
        breakages.hostloss_now(lab, leader)
    lab.wait("new leader", 60 + 2 * lab.ttl, lambda: None if lab.leader() not in (None, leader) else "no other leads")
    time.sleep(1)


def caught(lab, name):
    """The pid of the node's pg_rewind as soon as there is one."""
    until = time.monotonic() + 60 + 2 * lab.ttl
    while time.monotonic() < until:
        for pid in processes.daemon_tree(lab.daemon_pid(name)):
            if processes.name(pid) == "pg_rewind":
                return pid
        time.sleep(0.001)
    raise Trouble("no pg_rewind was seen")


def title(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


logpipe.needs = {"standard_error": "pipe"}
logsocket.needs = {"standard_error": "socket"}
FAULTS = [logpipe, logsocket, bothfreeze, orphanrewind]
