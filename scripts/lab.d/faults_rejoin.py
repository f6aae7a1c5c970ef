"""Faults of the race and of coming back: what a node that lacks, or has, more than the others may do."""
import base64
import contextlib
import json
import os
import pathlib
import signal
import time

import breakages
import cluster
import faults_guardian
import processes
import witness
from breakages import bring_back, kill_all
from processes import Trouble

MEGABYTES = 24  # more than maximum_lag_on_failover, and than what most sockets between two servers hold


def session(lab, name): return witness.connect(lab, [name])


def whole_node(lab, name):
    """All that runs on a node: with it, the machine is lost."""
    postmaster = lab.postmaster(name)
    return lab.guardians(name) + lab.helpers(name) + [postmaster] + processes.children(postmaster)


def receiver(lab, name):
    """The pid of the process that receives WAL."""
    pid = witness.one(session(lab, name), "SELECT pid FROM pg_stat_wal_receiver")
    if not pid:
        raise Trouble(f"{name} receives nothing")
    return pid[0]


def fill(lab, leader, megabytes=MEGABYTES):
    """WAL on the leader."""
    source = session(lab, leader)
    witness.one(source, "SET statement_timeout = 0")
    witness.one(source, "CREATE TABLE IF NOT EXISTS filler(a text)")
    witness.one(source, "ALTER TABLE filler ALTER COLUMN a SET STORAGE EXTERNAL")
    witness.one(source, f"INSERT INTO filler SELECT repeat('x', 100000) FROM generate_series(1, {int(10 * megabytes)})")


def beyond_reach(lab, leader, frozen):
    """WAL until the sockets on the way to a receiver that stands still hold no more of it; where it ends, in bytes."""
    asked = session(lab, leader)
    for _ in range(6):
        fill(lab, leader)
        wanted, sent = positions(asked, frozen)
        # A sender on a busy machine is behind for a moment, and goes on.
        while sent + 4 * 1024 * 1024 < wanted:
            before = sent
            time.sleep(2)
            wanted, sent = positions(asked, frozen)
            if sent == before:
                return wanted
    raise Trouble(f"{frozen} is sent everything although nobody receives it")


def positions(asked, name):
    """Where the leader's WAL ends, and what of it this standby was sent, in bytes."""
    return [witness.bytes_of(text) for text in witness.one(
        asked, f"SELECT pg_current_wal_lsn(), sent_lsn FROM pg_stat_replication WHERE application_name = '{name}'")]


def put(lab, key, value):
    """Writes a key of the cluster, as a tool does that no daemon answers."""
    body = {"key": base64.b64encode(f"/service/lab/{key}".encode()).decode(),
            "value": base64.b64encode(json.dumps(value).encode()).decode()}
    status, text = cluster.http("POST", f"http://127.0.0.1:{lab.ports.etcd_client(1)}/v3/kv/put", body)
    if status != 200:
        raise Trouble(f"writing {key}: {status} {text}")


def optime(lab):
    """What the leader last said of its WAL."""
    body = {"key": base64.b64encode(b"/service/lab/status").decode()}
    _, text = cluster.http("POST", f"http://127.0.0.1:{lab.ports.etcd_client(1)}/v3/kv/range", body)
    return json.loads(base64.b64decode(json.loads(text)["kvs"][0]["value"]))["optime"]


def caught_up(lab, source):
    lab.wait("standbys that have everything", 30, lambda: None if witness.one(
        source, "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn = pg_current_wal_flush_lsn()") == (
            len(lab.node_names()) - 1,) else "one is behind")


def new_leader(lab, leader):
    lab.wait("new leader", 60 + 2 * lab.ttl,
             lambda: None if lab.leader() not in (None, leader) else "no other leads")
    return lab.leader()


def deadrequest(lab, leader, watch):
    """a switchover to a standby far behind is asked for, and the leader that would refuse dies before it reads it"""
    candidate, complete = [name for name in lab.node_names() if name != leader]
    with breakages.frozen([receiver(lab, candidate)]):
        wanted = beyond_reach(lab, leader, candidate)
        lab.wait("a status of the leader", 30 + lab.ttl, lambda: None if optime(lab) >= wanted else "it is old")
        lab.wait("a complete standby", 30, lambda: None if witness.bytes_of(witness.one(
            session(lab, complete), "SELECT pg_last_wal_receive_lsn()")[0]) >= wanted else "it lacks WAL")
        kill_all(whole_node(lab, leader))
        # Without a candidate in every second round.
        put(lab, "failover", {"leader": leader, **({"member": candidate} if watch.round % 2 else {})})
    led = new_leader(lab, leader)
    time.sleep(1)
    bring_back(lab, leader)
    return {"also_broken": [f"{led} leads, far behind {complete}"] if led != complete else []}


@contextlib.contextmanager
def unseen(lab, leader):
    """No standby receives what is written meanwhile."""
    with breakages.frozen([receiver(lab, name) for name in lab.node_names() if name != leader]):
        yield


def part(lab, leader, more=lambda: None):
    """The leader writes what nobody receives, and its machine is lost; the one that leads then.

    `more` is done there while nobody receives it.
    """
    # As much as no socket holds is more than a standby may lack, once `/status` says that it is there.
    status, text = cluster.http("PATCH", lab.rest(leader, "/config"), {"maximum_lag_on_failover": 1 << 30}, timeout=30)
    if status != 200:
        raise Trouble(f"PATCH /config: {status} {text}")
    for attempt in range(3):
        with unseen(lab, leader):
            try:
                for name in [name for name in lab.node_names() if name != leader]:
                    beyond_reach(lab, leader, name)
            except Trouble:  # by a receiver that has begun since
                if attempt == 2:
                    raise
                continue
            more()
            kill_all(whole_node(lab, leader))
            break
    led = new_leader(lab, leader)
    fill(lab, led, 1)
    return led


def identity(lab, name):
    """Whether a data directory is still the same one."""
    found = os.stat(lab.data(name) / "PG_VERSION")
    return found.st_ino, found.st_mtime_ns


def keepdirectory(lab, leader, watch):
    """a leader that has parted comes back where nobody allows its data directory to be removed"""
    before = identity(lab, leader)
    part(lab, leader)
    bring_back(lab, leader)
    asked = lambda: cluster.http_json(lab.rest(leader, "/patroni")) or {}
    lab.wait("a node that says what it needs", 60 + lab.ttl,
             lambda: None if asked().get("needs_operator") else f"it says {asked().get('state')}")
    time.sleep(2 * lab.dcs["loop_wait"])
    broken = [] if identity(lab, leader) == before else [f"the data directory of {leader} was replaced"]
    if lab.postmaster(leader):
        broken.append(f"{leader} serves a timeline that was left")
    mine = next((member for member in lab.members() if member["name"] == leader), {})
    if mine.get("state") != "stopped":
        broken.append(f"{leader} is shown as {mine.get('state')}")
    status, text = cluster.http("POST", lab.rest(leader, "/reinitialize"), {"force": True}, timeout=30)
    if status != 200:
        broken.append(f"POST /reinitialize: {status} {text}")
    return {"also_broken": broken}


def rewinding(lab, name):
    """The pid of the node's pg_rewind."""
    wanted = str(lab.data(name)).encode()
    for entry in os.listdir("/proc"):
        try:
            words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
        except OSError:
            continue
        if words and words[0].endswith(b"pg_rewind") and wanted in words and b"--help" not in words:
            return int(entry)
    return None


def writes(lab, name, pid):
    """Whether a process has a file of the node's data directory open for writing."""
    inside = f"{lab.data(name)}/"
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{number}").startswith(inside):
                flags = pathlib.Path(f"/proc/{pid}/fdinfo/{number}").read_text().split()[3]
                if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    except OSError:
        pass  # it has closed it, or has ended
    return False


def part_standby(lab, leader):
    """A standby has what the next leader lacks, and its daemon hangs until that one leads; the standby's name.

    Nobody else writes meanwhile: what is lost is ours.
    """
    follows, parts = [name for name in lab.node_names() if name != leader]
    fill(lab, leader, 8)
    holder = session(lab, leader)
    holder.autocommit = False
    witness.one(holder, "LOCK TABLE probe, witness IN EXCLUSIVE MODE")
    source = session(lab, leader)
    caught_up(lab, source)
    sender = witness.one(source, "SELECT pid FROM pg_stat_replication WHERE application_name = %s", follows)[0]
    with breakages.frozen([sender]):
        fill(lab, leader, 0.5)  # less than maximum_lag_on_failover
        wanted = witness.bytes_of(witness.one(source, "SELECT pg_current_wal_lsn()")[0])
        lab.wait("a complete standby", 30, lambda: None if witness.bytes_of(witness.one(
            session(lab, parts), "SELECT pg_last_wal_receive_lsn()")[0]) >= wanted else "it lacks WAL")
        with breakages.frozen([lab.daemon_pid(parts)]):
            kill_all(whole_node(lab, leader))
            holder.close()
            new_leader(lab, leader)
    return parts


def different(lab):
    """Standbys on which the filler is not what it is on the leader, in words."""
    leader = lab.leader()
    statement = "SELECT count(*), sum(hashtext(a)::bigint) FROM filler"
    here = session(lab, leader)
    witness.one(here, "SET statement_timeout = '30s'")  # a busy machine is nothing that a row shows
    wanted, broken = witness.one(here, statement), []
    position = witness.one(here, "SELECT pg_current_wal_lsn()")[0]
    for name in lab.node_names():
        if name == leader:
            continue
        there = session(lab, name)
        witness.one(there, "SET statement_timeout = '30s'")
        lab.wait("replay", 30, lambda: None if witness.one(
            there, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position)[0] else f"{name} is behind")
        try:
            found = witness.one(there, statement)
        except Exception as error:
            found = str(error)
        if found != wanted:
            broken.append(f"{name}: the filler has {found}, on {leader} {wanted}")
    return broken


def rewindrestart(lab, leader, watch):
    """a standby has parted, and its daemon is restarted (odd rounds) or killed (even ones) while pg_rewind writes"""
    old, leader = leader, part_standby(lab, leader)
    bring_back(lab, old)
    until = time.monotonic() + 60 + 2 * lab.ttl
    while not ((pid := rewinding(lab, leader)) and writes(lab, leader, pid)):
        if time.monotonic() > until:
            raise Trouble("no pg_rewind that writes")
    processes.send(pid, signal.SIGSTOP)  # a slow disk
    mark = lab.data(leader) / ".matriarch-rewind"
    if watch.round % 2:
        processes.send(lab.daemon_pid(leader), signal.SIGTERM)
        lab.wait("end of the daemon", 30, lambda: "it runs" if lab.is_up(leader) else None)
    else:
        kill_all(lab.helpers(leader) + [pid])
    seen = mark.exists()
    time.sleep(0.5)
    bring_back(lab, leader)
    lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)
    return {"half_rewound": seen, "also_broken": different(lab)}


def rewoundkilled(lab, leader, watch):
    """a primary that has parted comes back, and its first server after pg_rewind is killed"""
    faults_guardian.part(lab, leader, watch)
    base = lab.data(leader) / "base"
    before = base.stat().st_ino
    log = lab.log(leader)
    size = log.stat().st_size
    bring_back(lab, leader)
    until = time.monotonic() + 60 + 2 * lab.ttl
    while b"pg_rewind: Done!" not in log.read_bytes()[size:] or not (postmaster := lab.postmaster(leader)):
        if time.monotonic() > until:
            raise Trouble("no pg_rewind that ends, with a server after it")
        time.sleep(0.002)
    kill_all([postmaster] + processes.children(postmaster))
    lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)
    return {"also_broken": [] if base.stat().st_ino == before else [f"the directory of {leader} was replaced"]}


def singleuser(lab, leader, watch):
    """a leader that had sent everything crashes, and comes back where pg_rewind is not used"""
    holder = session(lab, leader)
    holder.autocommit = False
    witness.one(holder, "LOCK TABLE probe, witness IN EXCLUSIVE MODE")
    source = session(lab, leader)
    caught_up(lab, source)
    before = identity(lab, leader)
    kill_all(whole_node(lab, leader))
    holder.close()
    new_leader(lab, leader)
    bring_back(lab, leader)
    lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)
    broken = [] if identity(lab, leader) == before else [f"the data directory of {leader} was replaced"]
    return {"also_broken": broken}


keepdirectory.needs = singleuser.needs = {"removes": False, "rewinds": False}
FAULTS = [deadrequest, keepdirectory, rewindrestart, rewoundkilled, singleuser]
