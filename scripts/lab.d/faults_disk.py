"""Faults of the leader's disk."""
import contextlib
import os

import faults_hung
import processes


@contextlib.contextmanager
def dead(lab, name):
    """Whatever of PostgreSQL writes there waits in the kernel."""
    flag, user = lab.dead_disk(name), processes.run_as()
    flag.touch()
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


diskhang.needs = {"disk_may_die": True}
FAULTS = [diskhang]
