"""Faults of the leader key and of stopping PostgreSQL: what gives the key away, and what keeps it too long."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import breakages
import layout
import processes
from breakages import frozen
from processes import Trouble

SLOT = "faults_stuck"


def rest(lab, name, method, path, body=None, timeout=60):
    """A request to a node's API: status and text."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{lab.ports.rest(lab.number(name))}{path}", method=method,
        data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def settings(lab, name, values):
    """Changes the dynamic configuration, None taking a key away."""
    status, text = rest(lab, name, "PATCH", "/config", values)
    if status != 200:
        raise Trouble(f"PATCH /config: {status} {text}")


def another_leads(lab, leader, seconds=None):
    lab.wait("another leader", seconds or 60 + 2 * lab.ttl,
             lambda: None if lab.leader() not in (None, leader) else "no other leads")


def candidate(lab, leader): return next(name for name in lab.node_names() if name != leader)


def sql(lab, name, statement):
    """What psql says of a statement, as the superuser."""
    done = subprocess.run(
        [str(layout.program("psql")), "-XAtq", "-h", "127.0.0.1", "-p", str(lab.ports.postgresql(lab.number(name))),
         "-U", "postgres", "-d", "postgres", "-c", statement], capture_output=True, text=True,
        env={**os.environ, "PGPASSWORD": lab.password}, timeout=30)
    if done.returncode != 0:
        raise Trouble(f"{statement}: {done.stderr.strip()}")
    return done.stdout.strip()


def etcdctl(lab, *words):
    done = subprocess.run([layout.program("etcdctl"), f"--endpoints=http://127.0.0.1:{lab.ports.etcd_client(1)}", *words],
                          capture_output=True, text=True, env={**os.environ, "ETCDCTL_API": "3"}, timeout=20)
    if done.returncode != 0:
        raise Trouble(f"etcdctl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def own_key(lab, leaf):
    """The key below the cluster's path that ends with `leaf`."""
    found = [key for key in etcdctl(lab, "get", "--prefix", "--keys-only", "/").split() if key.endswith(f"/{leaf}")]
    if len(found) != 1:
        raise Trouble(f"keys that end with /{leaf}: {found}")
    return found[0]


@contextlib.contextmanager
def no_space(lab):
    """etcd refuses every put, and deletes all the same."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{lab.ports.etcd_client(1)}/v3/maintenance/alarm", method="POST",
        data=json.dumps({"action": "ACTIVATE", "memberID": "0", "alarm": "NOSPACE"}).encode())
    urllib.request.urlopen(request, timeout=10).read()
    try:
        yield
    finally:
        etcdctl(lab, "alarm", "disarm")


# The faults

def pgdatagone(lab, leader, watch):
    """the data directory of the running primary is moved away (odd rounds) or removed (even ones)"""
    data, away = lab.data(leader), pathlib.Path(f"{lab.data(leader)}.away")
    moved = watch.round % 2 == 1
    if moved:
        os.rename(data, away)
    else:
        shutil.rmtree(data, ignore_errors=True)
    try:
        another_leads(lab, leader)
        copied = (data / ".matriarch-unfinished").exists() or (data / "global" / "pg_control").exists()
        if not moved and not copied:  # what the server has written meanwhile, and nothing of the daemon's
            shutil.rmtree(data, ignore_errors=True)
        time.sleep(breakages.after_death(lab))
    finally:
        shutil.rmtree(away, ignore_errors=True)
    return {"how": "mv" if moved else "rm -rf"}


def foreigninit(lab, leader, watch):
    """somebody puts another cluster's identifier into /initialize, and takes it back"""
    key = own_key(lab, "initialize")
    own = etcdctl(lab, "get", "--print-value-only", key).strip()
    etcdctl(lab, "put", key, "7000000000000000001")
    try:
        time.sleep(breakages.after_death(lab))
    finally:
        etcdctl(lab, "put", key, own)
    for name in lab.node_names():  # whoever saw it has ended
        breakages.bring_back(lab, name)


def starttimeout0(lab, leader, watch):
    """primary_start_timeout is 0: a switchover (odd rounds), SIGTERM for the daemon (even ones)"""
    settings(lab, leader, {"primary_start_timeout": 0})
    lab.wait("the setting", 20, lambda: None if '"primary_start_timeout": 0' in rest(lab, leader, "GET", "/config")[1]
             .replace(":0", ": 0") else "not yet")
    broken, timeline, begun = [], lab.timeline(), lab.log(leader).stat().st_size
    try:
        if watch.round % 2 == 1:
            how, target = "switchover", candidate(lab, leader)
            status, text = rest(lab, leader, "POST", "/switchover", {"leader": leader, "candidate": target})
            if status != 200:
                broken.append(f"the switchover failed: {status} {text}")
        else:
            how = "SIGTERM"
            processes.send(lab.daemon_pid(leader), signal.SIGTERM)
            lab.wait("end of the daemon", 60, lambda: "it runs" if lab.is_up(leader) else None)
        another_leads(lab, leader)
        if lab.timeline() > timeline + 1:
            broken.append("more than one promotion")
        with open(lab.log(leader), "rb") as log:
            log.seek(begun)
            said = log.read()
        if b"received immediate shutdown" in said or b"SIGQUIT" in said:
            broken.append("PostgreSQL was stopped by force")
    finally:
        breakages.bring_back(lab, leader)
        settings(lab, lab.leader() or leader, {"primary_start_timeout": None})
    return {"how": how, "also_broken": broken}


def hangarchive(lab, leader, watch):
    """archive_command hangs while the leader is stopped: a switchover (odd rounds), SIGTERM (even ones)"""
    flag = lab.directory / "archive-hangs"
    settings(lab, leader, {"postgresql": {"parameters": {
        "archive_mode": "on", "archive_command": f"while test -e {flag}; do sleep 0.2; done"}}})
    broken = []
    try:
        restart_all(lab, leader)
        flag.touch()
        os.chmod(flag, 0o644)
        begun = time.monotonic()
        if watch.round % 2 == 1:
            how = "switchover"
            status, text = rest(lab, leader, "POST", "/switchover",
                                {"leader": leader, "candidate": candidate(lab, leader)})
            if status != 200:
                broken.append(f"the switchover failed: {status} {text}")
        else:
            how = "SIGTERM"
            processes.send(lab.daemon_pid(leader), signal.SIGTERM)
        another_leads(lab, leader, 30)
        took = round(time.monotonic() - begun, 1)
        time.sleep(3)
    finally:
        flag.unlink(missing_ok=True)
        settings(lab, lab.leader() or leader, {"postgresql": {"parameters": {
            "archive_mode": None, "archive_command": None}}})
    if how == "SIGTERM":
        lab.wait("end of the daemon", 90, lambda: "it runs" if lab.is_up(leader) else None)
    breakages.bring_back(lab, leader)
    return {"how": f"{how}, {took} s", "also_broken": broken}


def restart_all(lab, leader):
    """Restarts PostgreSQL everywhere, the leader last, for settings that need it."""
    time.sleep(2 * lab.dcs["loop_wait"])
    for name in sorted(lab.node_names(), key=lambda name: name == leader):
        status, text = rest(lab, name, "POST", "/restart", {})
        if status not in (200, 202):
            raise Trouble(f"restart of {name}: {status} {text}")
    lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)


def stuckwalsender(lab, leader, watch):
    """a logical consumer stands still (SIGSTOP) with a full socket, and the leader is to hand over"""
    settings(lab, leader, {"postgresql": {"parameters": {"wal_level": "logical"}}})
    time.sleep(2 * lab.dcs["loop_wait"])
    restart_all(lab, leader)
    sql(lab, leader, f"SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')")
    consumer = subprocess.Popen(
        [f"{layout.postgresql_directory()}/pg_recvlogical", "-h", "127.0.0.1", "-p", str(lab.ports.postgresql(lab.number(leader))),
         "-U", "postgres", "-d", "postgres", "-S", SLOT, "--start", "-f", "/dev/null"],
        env={**os.environ, "PGPASSWORD": lab.password}, stderr=subprocess.DEVNULL)
    broken = []
    try:
        time.sleep(2)
        consumer.send_signal(signal.SIGSTOP)
        sql(lab, leader, "CREATE TABLE IF NOT EXISTS faults_bulk (a text)")
        sql(lab, leader, "INSERT INTO faults_bulk SELECT repeat('x', 1000) FROM generate_series(1, 30000)")
        time.sleep(2)
        begun = time.monotonic()
        status, text = rest(lab, leader, "POST", "/switchover",
                            {"leader": leader, "candidate": candidate(lab, leader)}, timeout=90)
        another_leads(lab, leader, 45)
        took = round(time.monotonic() - begun, 1)
        if took > 30:
            broken.append(f"the stop took {took} s: {status} {text}")
    finally:
        consumer.kill()
        consumer.wait()
    new = lab.leader()
    for name in lab.node_names():
        with contextlib.suppress(Trouble, subprocess.SubprocessError):
            sql(lab, name, f"SELECT pg_drop_replication_slot('{SLOT}')")
    with contextlib.suppress(Trouble):
        sql(lab, new, "DROP TABLE IF EXISTS faults_bulk")
    return {"how": f"{took} s", "also_broken": broken}


def statusrefused(lab, leader, watch):
    """etcd takes no /status any more, as with a full disk: a switchover is called off, and the leader goes on"""
    before, key = lab.timeline(), own_key(lab, "status").rsplit("/", 1)[0] + "/failover"
    asked = json.dumps({"leader": leader, "member": candidate(lab, leader)})
    with contextlib.ExitStack() as refusing:
        with frozen([lab.daemon_pid(leader)]):  # or it acts before the store refuses
            etcdctl(lab, "put", key, asked)
            refusing.enter_context(no_space(lab))
        time.sleep(breakages.after_death(lab))
        gone = not etcdctl(lab, "get", "--print-value-only", key.rsplit("/", 1)[0] + "/leader").strip()
        after = lab.leader()
    broken = ["the key was deleted without /status"] if gone else []
    if after != leader or lab.timeline() != before:
        broken.append(f"{after} leads after {leader}, and /status was not written")
    return {"also_broken": broken}


def older_copy(lab, leader, older):
    """A copy of the leader's directory as a crash leaves it; afterwards it leads again. Whoever led in between."""
    breakages.hostloss_now(lab, leader)
    subprocess.run(["cp", "-a", str(lab.data(leader)), str(older)], check=True)
    breakages.bring_back(lab, leader)
    lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)
    led = lab.leader()
    if led != leader:  # it took too long; then the copy is of another timeline
        rest(lab, led, "POST", "/switchover", {"leader": led, "candidate": leader})
        lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)
    time.sleep(3)
    return led


def oldleader(lab, leader, watch):
    """the leader's machine comes back within the ttl with the data directory of seconds before"""
    data, older, newer = lab.data(leader), pathlib.Path(f"{lab.data(leader)}.older"), pathlib.Path(f"{lab.data(leader)}.newer")
    try:
        led = older_copy(lab, leader, older)
        breakages.hostloss_now(lab, leader)
        os.rename(data, newer)
        os.rename(older, data)
        breakages.bring_back(lab, leader)
        time.sleep(breakages.after_death(lab))
    finally:
        for directory in (older, newer):
            shutil.rmtree(directory, ignore_errors=True)
    return {"how": "the same timeline" if led == leader else "an older timeline"}


def swappedrestart(lab, leader, watch):
    """POST /restart to the leader, and while it is down an older copy takes the place of its data directory"""
    data, older, newer = lab.data(leader), pathlib.Path(f"{lab.data(leader)}.older"), pathlib.Path(f"{lab.data(leader)}.newer")
    try:
        led = older_copy(lab, leader, older)
        postmaster, daemon = lab.postmaster(leader), lab.daemon_pid(leader)
        asking = threading.Thread(target=rest, args=(lab, leader, "POST", "/restart", {}))
        asking.start()
        while os.path.exists(f"/proc/{postmaster}/fd/0") or os.path.exists(f"/proc/{postmaster}/cwd"):
            time.sleep(0.0005)
        with frozen([daemon]):  # before it looks
            os.rename(data, newer)
            os.rename(older, data)
        asking.join()
        time.sleep(breakages.after_death(lab))
    finally:
        for directory in (older, newer):
            shutil.rmtree(directory, ignore_errors=True)
    return {"how": "the same timeline" if led == leader else "an older timeline"}


FAULTS = [pgdatagone, foreigninit, starttimeout0, statusrefused, hangarchive, stuckwalsender, oldleader, swappedrestart]
