"""What synchronous mode is for: nodes die by lot, and no acknowledged row may be missing afterwards."""
import random
import threading
import time

import breakages
import cluster
import processes

# Modes in which every acknowledged row is promised; of the three a lot takes one.
MODES = {"on": True, "quorum": "quorum"}


def kills(lab, leader, watch):
    """by lot (--seed): machines, servers and daemons of leader and standbys die or freeze, one after another"""
    lot = random.Random(f"{lab.seed}/{watch.round}")
    standbys = [name for name in lab.node_names() if name != leader]
    roles = {member["name"]: member.get("role", "") for member in lab.members()}
    synchronous = [name for name in standbys if roles.get(name, "") in ("sync_standby", "quorum_standby")] or standbys
    others = [name for name in standbys if name not in synchronous] or standbys
    name, story = lot.choice(STORIES)
    pause = lot.choice([0, 0.05, 0.3, 1, 3])
    story(lab, leader, lot.choice(synchronous), lot.choice(others), pause)
    for node in lot.sample(lab.node_names(), lab.nodes):
        breakages.bring_back(lab, node)
    return {"how": f"{name}, pause {pause} s"}


def machine(lab, name):
    """A whole machine, where it has not gone already."""
    postmaster = lab.postmaster(name)
    found = lab.guardians(name) + (lab.helpers(name) if lab.is_up(name) else [])
    breakages.kill_all(found + ([postmaster] + processes.children(postmaster) if postmaster else []))


def server(lab, name):
    postmaster = lab.postmaster(name)
    if postmaster:
        breakages.kill_all([postmaster] + processes.children(postmaster))


def wait(lab): time.sleep(breakages.after_death(lab))


def leader_lost(lab, leader, synchronous, other, pause):
    machine(lab, leader)
    wait(lab)


def leader_server(lab, leader, synchronous, other, pause):
    server(lab, leader)
    time.sleep(pause)
    machine(lab, leader)
    wait(lab)


def standby_then_leader(lab, leader, synchronous, other, pause):
    machine(lab, synchronous)
    time.sleep(pause)
    machine(lab, leader)
    time.sleep(pause)
    breakages.bring_back(lab, synchronous)
    wait(lab)


def other_then_leader(lab, leader, synchronous, other, pause):
    machine(lab, other)
    time.sleep(pause)
    machine(lab, leader)
    wait(lab)


def standby_server(lab, leader, synchronous, other, pause):
    server(lab, synchronous)
    time.sleep(pause)
    machine(lab, leader)
    wait(lab)


def standby_comes_and_goes(lab, leader, synchronous, other, pause):
    machine(lab, synchronous)
    wait(lab)
    breakages.bring_back(lab, synchronous)
    lab.wait("the standby", 60 + 2 * lab.ttl, lambda: None if synchronous in lab.streaming() else "does not stream")
    time.sleep(pause)
    machine(lab, leader)
    wait(lab)


def daemon_then_server(lab, leader, synchronous, other, pause):
    breakages.kill_all(lab.helpers(leader))
    time.sleep(pause)
    server(lab, leader)
    wait(lab)


def daemon_restarted(lab, leader, synchronous, other, pause):
    """The daemon is killed at any moment of its steps, another one goes on, and the machine is lost."""
    machine(lab, synchronous)
    time.sleep(pause)
    breakages.kill_all(lab.helpers(leader))
    lab.wait("end of the daemon", 10, lambda: "it runs" if lab.is_up(leader) else None)
    lab.start_node(leader)
    breakages.bring_back(lab, synchronous)
    time.sleep(pause + 1)
    machine(lab, leader)
    wait(lab)


def frozen_daemon(lab, leader, synchronous, other, pause):
    with breakages.frozen([lab.daemon_pid(leader)]):
        machine(lab, synchronous)
        time.sleep(breakages.while_frozen(lab))


def all_at_once(lab, leader, synchronous, other, pause):
    for name in [leader, synchronous, other]:
        machine(lab, name)
        time.sleep(pause / 10)
    time.sleep(2)


def mode_then_leader(lab, leader, synchronous, other, pause):
    """The mode is changed, and changed back, and the leader is lost on the way."""
    if not lab.mode:
        return leader_lost(lab, leader, synchronous, other, pause)
    changed = next(mode for mode in MODES if mode != lab.mode)
    for mode in [changed, lab.mode, changed]:
        cluster.http("PATCH", lab.rest(leader, "/config"), {"synchronous_mode": MODES[mode]})
        time.sleep(pause / 3)
    machine(lab, leader)
    wait(lab)
    lab.wait("a leader", 60 + 3 * lab.ttl, lambda: None if lab.leader() else "no node leads")
    cluster.http("PATCH", lab.rest(lab.leader(), "/config"), {"synchronous_mode": MODES[lab.mode]})


def switchover_cut_short(lab, leader, synchronous, other, pause):
    asking = threading.Thread(
        target=cluster.http, args=("POST", lab.rest(leader, "/switchover"), {"leader": leader}, 20), daemon=True)
    asking.start()
    time.sleep(pause / 3)
    machine(lab, leader)
    asking.join()
    wait(lab)


STORIES = [(story.__name__, story) for story in (
    leader_lost, leader_server, standby_then_leader, other_then_leader, standby_server, standby_comes_and_goes,
    daemon_then_server, daemon_restarted, frozen_daemon, all_at_once, mode_then_leader, switchover_cut_short)]
FAULTS = [kills]
