"""Faults after which a standby does not come right by itself: it is replaced where that is allowed, or says why not.

What breaks differs with the round: a stale backup_label, lost WAL of its own, WAL that the leader has removed.
"""
import os
import re
import time

import cluster
import processes
import witness
from breakages import bring_back, hostloss_now
from processes import Trouble

LABEL = """\
START WAL LOCATION: 0/F0000028 (file 0000000100000000000000F0)
CHECKPOINT LOCATION: 0/F0000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-26 00:00:00 UTC
LABEL: stale
START TIMELINE: 1
"""


def segments(directory):
    """The segments of WAL in a directory."""
    return {name for name in os.listdir(directory / "pg_wal") if re.fullmatch("[0-9A-F]{24}", name)}


def session(lab, name): return witness.connect(lab, [name])


def stale_label(lab, leader, name):
    """Recovery is sent to WAL that is nowhere."""
    label, user = lab.data(name) / "backup_label", processes.run_as()
    label.write_text(LABEL)
    os.chown(label, user.pw_uid, user.pw_gid)


def lose_wal(lab, leader, name):
    """Its own WAL is gone."""
    for segment in segments(lab.data(name)):
        (lab.data(name) / "pg_wal" / segment).unlink()


def remove_wal(lab, leader, name):
    """The leader keeps nothing for it."""
    wanted = max(segment[8:] for segment in segments(lab.data(name)) if segment in segments(lab.data(leader)))
    source = session(lab, leader)
    witness.one(source, "SET statement_timeout = 0")
    until = time.monotonic() + 60
    while any(segment[8:] <= wanted for segment in segments(lab.data(leader))):
        if time.monotonic() > until:
            raise Trouble(f"{leader} keeps its WAL")
        witness.one(source, "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots "
                            "WHERE NOT active")
        witness.one(source, "CREATE TABLE switched(a int)")
        witness.one(source, "DROP TABLE switched")
        witness.one(source, "SELECT pg_switch_wal()")
        witness.one(source, "CHECKPOINT")


WAYS = [stale_label, lose_wal, remove_wal]


def stick(lab, leader, watch):
    """Breaks a standby that is down, and starts its daemon; its name."""
    status, text = cluster.http(
        "PATCH", lab.rest(leader, "/config"), {"postgresql": {"parameters": {"wal_keep_size": "16MB"}}}, timeout=30)
    if status != 200:
        raise Trouble(f"PATCH /config: {status} {text}")
    source = session(lab, leader)
    lab.wait("a leader that keeps little WAL", 30,
             lambda: None if witness.one(source, "SHOW wal_keep_size") == ("16MB",) else "it keeps more")
    name = [name for name in lab.node_names() if name != leader][watch.round % 2]
    hostloss_now(lab, name)
    lab.wait("end of the node", 30, lambda: "it runs" if lab.postmaster(name) or lab.is_up(name) else None)
    WAYS[watch.round % len(WAYS)](lab, leader, name)
    bring_back(lab, name)
    return name


def stuck(lab, leader, watch):
    """a standby lacks WAL, has lost its own, or has a stale backup_label, where it may be replaced"""
    stick(lab, leader, watch)
    lab.wait("a healthy cluster", 90 + 3 * lab.ttl, lab.trouble)


def stuckkept(lab, leader, watch):
    """likewise where nobody allows its removal: it says what it needs, and a new copy is asked for"""
    name = stick(lab, leader, watch)
    way = WAYS[watch.round % len(WAYS)].__name__
    asked = lambda: (cluster.http_json(lab.rest(name, "/patroni")) or {})
    lab.wait("a node that says what it needs", 90 + lab.ttl,
             lambda: None if "/reinitialize" in asked().get("needs_operator", "") else f"it is {asked().get('state')}")
    told = asked()["needs_operator"]
    status, text = cluster.http("POST", lab.rest(name, "/reinitialize"), {"force": True}, timeout=30)
    broken = [] if status == 200 else [f"POST /reinitialize after {way}: {status} {text}"]
    lab.wait("a healthy cluster", 90 + 3 * lab.ttl, lab.trouble)
    if left := asked().get("needs_operator"):
        broken.append(f"{name} still says {left}")
    return {"way": way, "told": told, "also_broken": broken}


stuckkept.needs = {"removes": False}
FAULTS = [stuck, stuckkept]
