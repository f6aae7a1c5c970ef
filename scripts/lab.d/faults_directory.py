"""Faults of data directories: what is removed, copied or made when the daemon dies.

The lab has a tablespace: its files stand outside the data directory, and are removed before most of what stands inside.
"""
import contextlib
import shutil
import time

import breakages
import cluster
import processes
import witness
from breakages import bring_back, kill_all
from processes import Trouble

MARK = ".matriarch-unfinished"
TABLES = 300  # small ones, so that a removal takes its time


def phase(lab, name):
    """What the node's mark says of its data directory: "emptying", "filling", or None without a mark."""
    try:
        text = (lab.data(name) / MARK).read_text()
    except OSError:
        return None
    return next((line.split()[1] for line in text.splitlines() if line.startswith("phase ")), None)


def reached(what, seconds, holds):
    """Waits busily, since a removal takes a fraction of a second."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise Trouble(f"no {what} within {seconds} s")
        time.sleep(0.0005)


def session(lab, name): return witness.connect(lab, [name])


def has_tablespace(lab, name):
    try:
        return witness.one(session(lab, name), "SELECT 1 FROM pg_tablespace WHERE spcname = 'outside'") is not None
    except Exception:
        return False


def prepare(lab, leader):
    """A tablespace with tables. Its standbys are copied anew: replayed, its creation would name the leader's own."""
    source = session(lab, leader)
    if witness.one(source, "SELECT 1 FROM pg_tablespace WHERE spcname = 'outside'"):
        return
    standbys = [name for name in lab.node_names() if name != leader]
    for name in standbys:
        postmaster = lab.postmaster(name)
        kill_all(lab.guardians(name) + lab.helpers(name) + [postmaster] + processes.children(postmaster))
        lab.wait("end of the node", 20, lambda: "it runs" if lab.postmaster(name) or lab.is_up(name) else None)
    witness.one(source, f"CREATE TABLESPACE outside LOCATION '{lab.tablespace(leader)}'")
    witness.one(source, "SET statement_timeout = 0")
    witness.one(source, "CREATE TABLE kept TABLESPACE outside AS SELECT a, repeat('x', 200) AS b "
                        "FROM generate_series(1, 60000) AS a")
    for number in range(TABLES):
        witness.one(source, f"CREATE TABLE small_{number} TABLESPACE outside AS SELECT {number} AS a")
    witness.one(source, "CHECKPOINT")
    for name in standbys:
        lab.remove_data(name)
        lab.start_node(name)
    # The keys of their earlier daemons say that they stream, for a ttl yet.
    lab.wait("copies with the tablespace", 120, lambda: next(
        (f"{name} has none" for name in standbys if not has_tablespace(lab, name)), None))
    lab.wait("a cluster with a tablespace", 120, lab.trouble)


def standby(lab, leader, watch):
    others = [name for name in lab.node_names() if name != leader]
    return others[watch.round // 2 % len(others)]


def reinitialize(lab, name):
    status, text = cluster.http("POST", lab.rest(name, "/reinitialize"), {"force": True}, timeout=30)
    if status != 200:
        raise Trouble(f"POST /reinitialize of {name}: {status} {text}")


def missing_rows(lab, leader):
    """Nodes on which the tablespace is not what it is on the leader, in words."""
    statement = ("SELECT (SELECT count(*) || ' ' || sum(a) || ' ' || sum(hashtext(b)) FROM kept), "
                 "(SELECT count(pg_relation_size(oid)) FROM pg_class WHERE relname LIKE 'small%%' AND pg_relation_size(oid) > 0)")
    def asked(name):
        there = session(lab, name)
        witness.one(there, "SET statement_timeout = '30s'")
        return witness.one(there, statement)

    wanted, broken = asked(leader), []
    for name in lab.node_names():
        try:
            found = asked(name)
        except Exception as error:
            found = str(error)
        if found != wanted:
            broken.append(f"{name}: the tablespace has {found}, on {leader} {wanted}")
    return broken


def settled(lab, leader):
    lab.wait("a healthy cluster", 90 + 3 * lab.ttl, lab.trouble)
    return {"also_broken": missing_rows(lab, lab.leader())}


def reinitkill(lab, leader, watch):
    """a standby is made anew, and its daemon killed while it removes (odd rounds) or copies (even ones)"""
    prepare(lab, leader)
    name, wanted = standby(lab, leader, watch), "emptying" if watch.round % 2 else "filling"
    reinitialize(lab, name)
    reached(wanted, 60, lambda: phase(lab, name) == wanted)
    if wanted == "filling":
        draft = lab.tablespace(name)
        reached("a begun copy", 60, lambda: any(draft.iterdir()))
    kill_all(lab.helpers(name))
    seen = phase(lab, name)
    time.sleep(1)
    # What counts is that nothing starts what stands there now, whoever comes and looks.
    served = cluster.http("GET", lab.rest(name, "/replica"))[0] == 200
    bring_back(lab, name)
    return {"killed_while": seen, **settled(lab, leader), **({"also_broken": ["half a copy serves"]} if served else {})}


def copycut(lab, leader, watch):
    """the base backup of a standby is cut off at the source after 5 MB, once (odd rounds) or twice"""
    prepare(lab, leader)
    name = standby(lab, leader, watch)
    source = session(lab, leader)
    reinitialize(lab, name)
    cuts, until = 0, time.monotonic() + 90
    while cuts < (1 if watch.round % 2 else 2):
        found = witness.one(source, "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_basebackup "
                                    "WHERE backup_streamed > 5 * 1024 * 1024 LIMIT 1")
        cuts += bool(found and found[0])
        if found:
            time.sleep(0.5)  # until that one is gone
        if time.monotonic() > until:
            raise Trouble(f"no base backup to be cut off, after {cuts}")
        time.sleep(0.005)
    return {"cuts": cuts, **settled(lab, leader)}


@contextlib.contextmanager
def beside(lab):
    """Another cluster with a store of its own, of which no node was started."""
    side = type(lab)(lab.directory / "side", lab.ports.base + 40, daemon=lab.daemon, dcs=lab.dcs)
    try:
        side.prepare()
        side.start_etcd()
        yield side
    finally:
        side.down()
        side.remove()


def missing_users(side):
    """What of the users is not there on the leader, in words."""
    roles = witness.one(session(side, side.leader()),
                        "SELECT count(*) FROM pg_roles WHERE rolname IN ('replicator', 'rewinder')")
    return [] if roles == (2,) else [f"of the two users {roles} are there"]


def bootstrapkill(lab, leader, watch):
    """another cluster is made beside, and its first daemon killed while it is; every third time it stays away"""
    moments = ["filling", "made", "published"]
    moment, returns = moments[watch.round % 3], watch.round % 2 == 0
    with beside(lab) as side:
        side.start_node("n1")
        control = side.data("n1") / "global" / "pg_control"
        if moment == "filling":
            reached("initdb", 60, lambda: (side.data("n1") / ".matriarch-new" / "PG_VERSION").exists())
        elif moment == "made":
            reached("a made cluster", 60, lambda: control.exists() and side.postmaster("n1"))
        else:
            reached("a published cluster", 60, lambda: control.exists() and phase(side, "n1") is None)
        kill_all(side.guardians("n1") + side.helpers("n1"))
        side.wait("end of the daemon", 20, lambda: "it runs" if side.is_up("n1") else None)
        for name in side.node_names():
            if name != "n1" or returns or moment == "published":
                side.start_node(name)
        side.wait("a leader", 90 + 3 * lab.ttl, lambda: None if side.leader() else "no node leads")
        bring_back(side, "n1")
        side.wait("a healthy cluster", 90 + 3 * lab.ttl, side.trouble)
        return {"moment": moment, "returned": returns, "side_leader": side.leader(),
                "also_broken": missing_users(side)}


def movedrestart(lab, leader, watch):
    """the leader's daemon is killed, its data directory moved away under the server, and the daemon started again"""
    data = lab.data(leader)
    kill_all(lab.helpers(leader))
    moved = data.with_name(f"data.moved-{watch.round}")
    data.rename(moved)
    bring_back(lab, leader)
    lab.wait("another leader", 60 + 2 * lab.ttl,
             lambda: None if lab.leader() not in (None, leader) else "no other leads")
    lab.wait("a healthy cluster", 90 + 3 * lab.ttl, lab.trouble)
    shutil.rmtree(moved)
    return {}


reinitkill.needs = copycut.needs = {"tablespaces": True}
FAULTS = [reinitkill, copycut, bootstrapkill, movedrestart]
