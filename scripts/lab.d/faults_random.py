"""Faults by lot: something is under way, and at some moment of it something breaks, for some time.

In asynchronous mode one thing breaks at a time: with two, a row may be lost that only the second one had received. In
synchronous mode nothing may be lost, and in some rounds there are two.
"""
import contextlib
import os
import random
import shutil
import threading
import time

import breakages
import cluster
import faults_directory
import faults_disk
import faults_guardian
import faults_hung
import faults_return
import faults_store
import processes
from breakages import frozen, kill_all

# What breaks. Each is a context: within it things are broken.

@contextlib.contextmanager
def killed(pids):
    kill_all(pids)
    yield


def daemon(lab, name): return [lab.daemon_pid(name)] if lab.is_up(name) else []


def helpers(lab, name):
    """The programs that the daemon has started, which work on the data directory, and what holds them."""
    found = [pid for pid in lab.helpers(name) if pid != lab.daemon_pid(name)] if lab.is_up(name) else []
    return found or daemon(lab, name)


def server(lab, name):
    postmaster = lab.postmaster(name)
    return [postmaster] + processes.children(postmaster) if postmaster else []


def machine(lab, name):
    return server(lab, name) + lab.guardians(name) + (lab.helpers(name) if lab.is_up(name) else [])


@contextlib.contextmanager
def hung_server(lab, name):
    postmaster = lab.postmaster(name)
    with faults_hung.gone_on(faults_hung.stop_all(postmaster) if postmaster else []):
        yield


@contextlib.contextmanager
def full_log(lab, name):
    filler = lab.disk(name) / "filler"
    try:
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextlib.contextmanager
def lost_store(lab, name):
    arguments = faults_store.etcd_arguments(lab, "e1")
    faults_store.end_etcd(lab, "e1")
    try:
        yield
    finally:
        lab.start("e1", arguments)
        lab.wait("etcd", 30, lab._etcd_trouble)


def store(lab): return [lab.running[name][0] for name in lab.etcd_names()]


def strikes(lab):
    """What can break in this lab, by its name: contexts of a node."""
    found = {
        "daemon killed": lambda name: killed(lab.helpers(name) if lab.is_up(name) else []),
        "daemon frozen": lambda name: frozen(daemon(lab, name)),
        "guardian killed": lambda name: killed(lab.guardians(name)),
        "guardian frozen": lambda name: frozen(lab.guardians(name)),
        "guardian and daemon frozen": lambda name: frozen(lab.guardians(name) + daemon(lab, name)),
        "helper killed": lambda name: killed(helpers(lab, name)),
        "helper frozen": lambda name: frozen(helpers(lab, name)),
        "postmaster killed": lambda name: killed(server(lab, name)[:1]),
        "server frozen": lambda name: hung_server(lab, name),
        "machine lost": lambda name: killed(machine(lab, name)),
        "store frozen": lambda name: frozen(store(lab)),
        "store killed": lambda name: lost_store(lab, name),
    }
    if lab.ways:
        found["network cut"] = lambda name: frozen([lab.running[lab.way(name)][0]])
    if lab.disk_may_die:
        found["disk dead"] = lambda name: faults_disk.dead(lab, name)
    if lab.small_disk:
        found["disk of the log full"] = lambda name: full_log(lab, name)
    return found


def strike(lab, lot, names):
    """Breaks something of one of the nodes for some time; what it was."""
    what, context = lot.choice(list(strikes(lab).items()))
    name, seconds = lot.choice(names), round(lot.uniform(0.3, 2.2 * lab.ttl), 1)
    with context(name):
        time.sleep(seconds)
    return f"{what} ({name}, {seconds} s)"


# What is under way. Each begins it and answers the nodes that it concerns.

def nothing(lab, leader, watch, lot):
    return lab.node_names()


def ask(watch, lab, name, path, body):
    """A request that is waited for only at the end: what breaks may keep it from being answered."""
    watch.asked = threading.Thread(target=cluster.http, args=("POST", lab.rest(name, path), body, 60), daemon=True)
    watch.asked.start()


def standbys(lab, leader): return [name for name in lab.node_names() if name != leader]


def switchover(lab, leader, watch, lot):
    candidate = lot.choice(standbys(lab, leader))
    ask(watch, lab, leader, "/switchover", {"leader": leader, "candidate": candidate})
    return [leader, candidate]


def restart(lab, leader, watch, lot):
    name = lot.choice(lab.node_names())
    ask(watch, lab, name, "/restart", {})
    return [name]


def clone(lab, leader, watch, lot):
    name = lot.choice(standbys(lab, leader))
    # Until the others have what this one had: in asynchronous mode it would be lost with it.
    ask(watch, lab, name, "/reinitialize", {"force": True})
    time.sleep(0.3)
    return [name, name, leader]


def rewind(lab, leader, watch, lot):
    faults_guardian.part(lab, leader, watch)
    lab.start_node(leader)
    return [leader, leader, lab.leader() or leader]


WORK = {work.__name__: work for work in (nothing, switchover, restart, clone, rewind)}


def bootstrap(lab, lot):
    """Another cluster is made beside, and something breaks while it is."""
    with faults_directory.beside(lab) as side:
        for name in side.node_names():
            side.start_node(name)
        time.sleep(lot.uniform(0, 5))
        how = strike(side, lot, ["n1"])
        for name in side.node_names():
            breakages.bring_back(side, name)
        side.wait("a healthy cluster", 120 + 3 * lab.ttl, side.trouble)
        return {"how": f"bootstrap: {how}", "also_broken": faults_directory.missing_users(side)}


def draws(lab, leader, watch):
    """by lot (--seed): something breaks, anywhere, during a switchover, a restart, a copy, a rewind or a bootstrap"""
    lot, watch.asked = random.Random(f"{lab.seed}/{watch.round}"), None
    faults_directory.prepare(lab, leader)
    work = lot.choice([*WORK, "bootstrap"])
    if work == "bootstrap":
        return bootstrap(lab, lot)
    concerned = WORK[work](lab, leader, watch, lot)
    time.sleep(lot.choice([0, 0.05, 0.3, 1, 3]) * lot.random())
    how = [strike(lab, lot, concerned)]
    if lab.mode and lot.random() < 0.5:
        how.append(strike(lab, lot, lab.node_names()))
    for name in lab.node_names():
        breakages.bring_back(lab, name)
    if watch.asked:
        watch.asked.join()
    lab.wait("a healthy cluster", 90 + 3 * lab.ttl, lab.trouble)
    broken = faults_directory.missing_rows(lab, lab.leader()) + faults_return.misplaced(lab)
    return {"how": f"{work}: {', '.join(how)}", "also_broken": broken}


draws.needs = {
    "tablespaces": True, "wal_apart": True, "ways": True, "small_disk": os.geteuid() == 0,
    "disk_may_die": bool(shutil.which("gcc") or shutil.which("clang"))}
FAULTS = [draws]
