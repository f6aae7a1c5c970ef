"""Faults of what is observed: a server that hangs, one that only lets nobody in, and slots that are nobody's."""
import contextlib
import signal
import time

import cluster
import processes
import witness
from breakages import bring_back
from processes import Trouble


def stop_all(postmaster):
    """SIGSTOP to a postmaster and its children, so that none is left; their pids and when each began."""
    processes.send(postmaster, signal.SIGSTOP)
    pids = [postmaster] + processes.children(postmaster)
    for pid in pids:
        processes.send(pid, signal.SIGSTOP)
    return [(pid, processes.start_time(pid)) for pid in pids]


@contextlib.contextmanager
def gone_on(stopped):
    """Whatever still lives of `stopped` goes on at the end."""
    try:
        yield
    finally:
        for pid, started in stopped:
            if started is not None and processes.start_time(pid) == started:
                processes.send(pid, signal.SIGCONT)


def another_leads(lab, leader, words, bound=None):
    """Waits for another leader while the old one hangs; what is worth telling of it (L1).

    `bound` is when it is known to hang, where that is later than a ttl.
    """
    begun = time.monotonic()
    limit = (bound or lab.ttl) + float(lab.dcs["loop_wait"]) + 5
    while time.monotonic() < begun + 2 * limit and lab.leader() in (None, leader):
        time.sleep(0.1)
    took, now = round(time.monotonic() - begun, 1), lab.leader()
    broken = []
    if now in (None, leader):
        broken.append(f"no other leader within {took} s")
    elif took > limit:
        broken.append(f"another leader only after {took} s")
    if words not in lab.log(leader).read_text(errors="replace"):
        broken.append(f"the log does not say '{words}'")
    time.sleep(5)
    return {"took_over_after_s": took, "also_broken": broken}


def hungserver(lab, leader, watch):
    """the postmaster and all its children hang (SIGSTOP)"""
    stopped = stop_all(lab.postmaster(leader))
    with gone_on(stopped):
        return another_leads(lab, leader, "PostgreSQL has not answered for")


def hungpostmaster(lab, leader, watch):
    """the postmaster alone hangs (SIGSTOP): sessions go on, and nobody new is let in"""
    postmaster = lab.postmaster(leader)
    stopped = [(postmaster, processes.start_time(postmaster))]
    processes.send(postmaster, signal.SIGSTOP)
    with gone_on(stopped):
        return another_leads(lab, leader, "PostgreSQL has let nobody in for")


def checkpointerstop(lab, leader, watch):
    """the checkpointer alone hangs (SIGSTOP): everything answers, and no checkpoint can be made"""
    session = witness.connect(lab, [leader])
    pid = witness.one(session, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")[0]
    session.close()
    with gone_on([(pid, processes.start_time(pid))]):
        processes.send(pid, signal.SIGSTOP)
        return another_leads(lab, leader, "no checkpoint can be made for")


def slots(lab, name):
    """The physical slots of a node."""
    session = witness.connect(lab, [name])
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical'")
            return {row[0] for row in cursor.fetchall()}
    finally:
        session.close()


def configure(lab, leader, **settings):
    status, body = cluster.http("PATCH", lab.rest(leader, "/config"), settings)
    if status != 200:
        raise Trouble(f"PATCH /config: {status} {body}")


def goneslots(lab, leader, watch):
    """a member goes away for good: its slots are dropped on the leader and on the standbys after member_slots_ttl"""
    gone = next(name for name in lab.node_names() if name != leader)
    others = [name for name in lab.node_names() if name != gone]
    lab.wait("slots of all members", 30, lambda: next(
        (f"{name} has none for {gone}" for name in others if gone not in slots(lab, name)), None))
    configure(lab, leader, member_slots_ttl=10)
    try:
        lab.kill("both", gone)
        begun = time.monotonic()
        lab.wait("end of the slots", 60 + 4 * lab.ttl, lambda: next(
            (f"{name} still has the slot of {gone}" for name in others if gone in slots(lab, name)), None))
        took = round(time.monotonic() - begun, 1)
        missing = [f"the slot of {other} on {name} is gone" for name in others for other in others
                   if other != name and other not in slots(lab, name)]
        return {"slots_dropped_after_s": took, "also_broken": missing}
    finally:
        configure(lab, leader, member_slots_ttl=None)
        for pid in lab.guardians(gone):
            processes.send(pid, signal.SIGKILL)
        bring_back(lab, gone)


def connectionsfull(lab, leader, watch):
    """max_connections is used up for two leases, in even rounds with the daemon's own connection ended: nothing happens"""
    postmaster, timeline, held, broken = lab.postmaster(leader), lab.timeline(), [], []
    try:
        fill(lab, leader, held)
        if watch.round % 2 == 0:
            with held[0].cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
                               "'Matriarch%'")
        until = time.monotonic() + 2 * lab.ttl
        while time.monotonic() < until:
            fill(lab, leader, held)
            time.sleep(0.2)
    finally:
        for session in held:
            session.close()
    lab.wait("a leader", 30, lambda: None if lab.leader() else "nobody leads")
    if lab.leader() != leader or lab.timeline() != timeline:
        broken.append(f"a failover from {leader} to {lab.leader()}, timeline {timeline} to {lab.timeline()}")
    if lab.postmaster(leader) != postmaster:
        broken.append("PostgreSQL was restarted")
    return {"connections": len(held), "also_broken": broken}


def fill(lab, name, held):
    """Connects as superuser until the server refuses."""
    with contextlib.suppress(Exception):
        while len(held) < 1000:
            session = witness.connect(lab, [name])
            session.autocommit = True
            held.append(session)


FAULTS = [hungserver, hungpostmaster, checkpointerstop, goneslots, connectionsfull]
