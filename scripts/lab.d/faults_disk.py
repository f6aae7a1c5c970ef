"""Faults of the leader's disk."""
import contextlib
import os
import threading

import faults_hung
import processes
import witness


@contextlib.contextmanager
def dead(lab, name, spared=""):
    """Whatever of PostgreSQL writes there waits in the kernel; where a directory is spared, what syncs elsewhere."""
    flag, user = lab.dead_disk(name), processes.run_as()
    draft = flag.with_suffix(".new")
    draft.write_text(str(spared))
    draft.replace(flag)
    if user:
        os.chown(flag, user.pw_uid, user.pw_gid)
    try:
        yield
    finally:
        flag.unlink(missing_ok=True)


def diskhang(lab, leader, watch):
    """the leader's disk hangs: what of PostgreSQL writes or syncs waits in the kernel, and its server answers"""
    with dead(lab, leader):
        return faults_hung.another_leads(lab, leader, "no WAL has reached the disk for")


def checkpoint(session):
    """One that nobody waits for."""
    with contextlib.suppress(Exception):
        witness.one(session, "CHECKPOINT")


def datahang(lab, leader, watch):
    """the disk of the leader's data hangs, that of its WAL does not: sessions commit, and no checkpoint ends"""
    session = witness.connect(lab, [leader])
    witness.one(session, "SET statement_timeout = 0")
    with dead(lab, leader, spared=lab.wal(leader)):
        threading.Thread(target=checkpoint, args=[session], daemon=True).start()
        return faults_hung.another_leads(
            lab, leader, "no checkpoint can be made for", bound=max(60, 3 * lab.ttl))


diskhang.needs = {"disk_may_die": True}
datahang.needs = {"disk_may_die": True, "wal_apart": True}
FAULTS = [diskhang, datahang]
