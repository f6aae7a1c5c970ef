"""The faults: each breaks the leader's node in one way, waits, and mends it again.

A fault is a function of (lab, leader, watch) that returns what else is worth telling of the round, or raises Skip.
"""
import contextlib
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

import cluster
import drain
import layout
import processes
from processes import Trouble

MEGABYTE = 1 << 20


class Skip(Exception):
    """Why a fault cannot be had on this machine."""


class FaultLab(cluster.Lab):
    """A lab without HAProxy, whose daemons nobody starts again but us."""

    def __init__(self, *arguments, small_disk=False, standard_error=None, more="", tablespaces=False, removes=True,
                 rewinds=True, wal_apart=False, disk_may_die=False, ways=False, **named):
        super().__init__(*arguments, **named)
        self.removes = removes  # a data directory that pg_rewind cannot mend may be replaced
        self.rewinds = rewinds  # pg_rewind is used
        self.small_disk = small_disk
        self.tablespaces = tablespaces  # base backups find a place for each other's tablespaces
        self.wal_apart = wal_apart  # WAL stands outside the data directory
        self.disk_may_die = disk_may_die  # what PostgreSQL writes hangs in the kernel while a file says so
        self.ways = ways  # a node is reached, and reaches the store, through a program that can be stopped
        self.standard_error, self.drains = standard_error, {}  # "pipe" or "socket" instead of the file of the log
        self.mode, self.seed = None, 0  # the synchronous mode, and what lots are drawn from
        self.more = more  # sections of YAML that every node's configuration has on top

    def configuration(self, name):
        # Without a guardian (Patroni) the section is an unknown one, which is ignored.
        text = layout.node_configuration(self, self.number(name)) + "\nguardian:\n  restart_daemon: off\n"
        text += self.more
        settings = "".join(f"\n  remove_data_directory_on_{why}: true" for why in
                           ("diverged_timelines", "rewind_failure") if self.removes)
        settings += "" if self.rewinds else "\n  use_pg_rewind: false"
        text = text.replace("\npostgresql:", f"\npostgresql:{settings}", 1)
        for place, way, _ in self.routes(name) if self.ways else []:
            text = text.replace(place, way)
        if self.wal_apart:
            before = "\n    - data-checksums"
            text = text.replace(before, f'{before}\n    - waldir: "{self.wal(name)}"', 1)
        if copies := self.copy_options(name):
            lines = "".join(f"\n  - {option}" for option in copies)
            text = text.replace("\npostgresql:", f"\npostgresql:\n  basebackup:{lines}", 1)
        return text + (f"\nlog:\n  dir: \"{self.disk(name)}\"\n" if self.small_disk else "")

    def copy_options(self, name):
        """What pg_basebackup is told."""
        others = [other for other in self.node_names() if other != name and self.tablespaces]
        found = [f'tablespace-mapping: "{self.tablespace(other)}={self.tablespace(name)}"' for other in others]
        # Slow enough to be cut off.
        found += ["max-rate: 16M"] if self.tablespaces else []
        return found + ([f'waldir: "{self.wal(name)}"'] if self.wal_apart else [])

    def way(self, name): return f"w{self.number(name)}"

    def routes(self, name):
        """Where the configuration has an address, what it has instead, and where that leads: ports FROM=TO."""
        i = self.number(name)
        first = self.ports.base + 70 + 3 * (i - 1)
        found = [('"127.0.0.1:{}"', self.ports.etcd_client(1)), ("connect_address: 127.0.0.1:{}\n", self.ports.rest(i)),
                 ("connect_address: 127.0.0.1:{}\n", self.ports.postgresql(i))]
        return [(text.format(port), text.format(first + k), f"{first + k}={port}")
                for k, (text, port) in enumerate(found)]

    def start_etcd(self):
        super().start_etcd()
        for name in self.node_names() if self.ways else []:
            relay = pathlib.Path(__file__).parent / "relay.py"
            self.start(self.way(name), [sys.executable, "-c", relay.read_text(),
                                        *(route for _, _, route in self.routes(name))])

    def environment(self, name):
        if not self.disk_may_die or name not in self.node_names():
            return {}
        return {"LD_PRELOAD": str(self.directory / "dead-disk.so"), "MATRIARCH_DEAD_DISK": str(self.dead_disk(name))}

    def dead_disk(self, name):
        """The file that says that the node's disk is dead."""
        return self.directory / f"{name}-disk-is-dead"

    def tablespace(self, name): return self.directory / name / "tablespace"

    def wal(self, name): return self.directory / name / "wal"

    def remove_data(self, name):
        """The data directory of a node that is down, with what it leads to."""
        shutil.rmtree(self.data(name), ignore_errors=True)
        shutil.rmtree(self.wal(name), ignore_errors=True)
        for entry in self.tablespace(name).iterdir():
            shutil.rmtree(entry)

    def disk(self, name): return self.directory / name / "log"

    def prepare(self):
        super().prepare()
        for name in self.node_names() if self.tablespaces else []:
            self.tablespace(name).mkdir(exist_ok=True, mode=0o700)
            if user := processes.run_as():
                os.chown(self.tablespace(name), user.pw_uid, user.pw_gid)
        if self.small_disk:
            for name in self.node_names():
                mount_small_disk(self.disk(name))
        if self.disk_may_die:
            compile_dead_disk(self.directory / "dead-disk.so")

    def start_node(self, name):
        if not self.standard_error:
            return super().start_node(name)
        self.drains[name] = drain.Drain(self.standard_error, self.log(name))
        self.start(name, self.daemon + [str(self.directory / f"{name}.yml")], self.drains[name].input)

    def start_haproxy(self): pass

    def trouble(self):
        leader = self.leader()
        if leader is None:
            return "no node leads"
        members = {member["name"]: member for member in self.members()}
        behind = [name for name in self.node_names() if name != leader
                  and members.get(name, {}).get("state") != "streaming"]
        timelines = {member.get("timeline") for member in members.values()}
        if behind or len(timelines) != 1:
            return f"not streaming from {leader}: {', '.join(behind) or f'timelines {timelines}'}"
        if self.mode:
            role, wanted = ("quorum_standby", self.nodes - 1) if self.mode == "quorum" else ("sync_standby", 1)
            found = sum(member.get("role") == role for member in members.values())
            return None if found == wanted else f"{found} of {wanted} members are {role}"
        return None

    def timeline(self):
        """The timeline of the members, as a node sees them."""
        return max((member.get("timeline", 0) for member in self.members()), default=0)

    def daemon_pid(self, name):
        """The pid of a node's daemon alone; a service that starts it through others is none of ours."""
        if not self.is_up(name):
            raise Trouble(f"{name}: its daemon does not run")
        return self.running[name][0]

    def guardians(self, name):
        """The pids of a node's guardians; more than one where a frozen one has been replaced."""
        wanted, found = str(self.data(name)).encode(), []
        for entry in os.listdir("/proc"):
            try:
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
            except OSError:
                continue
            if words and words[0].endswith(b"matriarch-guardian") and words[1] != b"--helper" and wanted in words:
                found.append(int(entry))
        return [pid for pid in found if processes.start_time(pid) is not None]

    def guardian(self, name):
        found = self.guardians(name)
        if not found:
            raise Skip("no guardian runs")
        return found[-1]

    def helpers(self, name):
        """The daemon and what it has started: neither PostgreSQL nor the guardian."""
        apart = set(self.guardians(name))
        return [pid for pid in processes.daemon_tree(self.daemon_pid(name)) if pid not in apart]

    def down(self):
        for name in self.node_names():
            ways = [self.running[self.way(name)][0]] if self.ways and self.is_up(self.way(name)) else []
            for pid in ways + self.guardians(name) + ([self.running[name][0]] if self.is_up(name) else []):
                processes.send(pid, signal.SIGCONT)
        super().down()

    def remove(self):
        if self.small_disk:
            for name in self.node_names():
                subprocess.run(["umount", "-l", str(self.disk(name))], stderr=subprocess.DEVNULL)
        super().remove()

    @property
    def ttl(self): return float(self.dcs["ttl"])


def mount_small_disk(place):
    """One megabyte, which a fault fills."""
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    place.mkdir(mode=0o700, exist_ok=True)
    user = processes.run_as()
    os.chown(place, user.pw_uid, user.pw_gid)
    if os.path.ismount(place):
        return
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=1m,mode=0700,uid={user.pw_uid},gid={user.pw_gid}",
                           "matriarch-faults", str(place)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"mounting a small file system: {done.stderr.strip()}")


def compile_dead_disk(target):
    """What is loaded before the C library by PostgreSQL's servers; other programs take no notice of it."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise Skip("no C compiler")
    source = pathlib.Path(__file__).parent / "dead-disk.c"
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", str(target), str(source), "-ldl"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{source} cannot be compiled: {done.stderr}")
    target.chmod(0o755)


# How long a fault lasts: longer than the lease, so that another node can take it while the old one is still broken.

def after_death(lab): return max(12.0, 1.5 * lab.ttl)


def while_frozen(lab): return max(20.0, 2 * lab.ttl)


def kill_all(pids):
    """Returns when they have ended: until then a killed daemon would count as one that runs."""
    started = {pid: processes.start_time(pid) for pid in pids}
    for pid in pids:
        processes.send(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while any(processes.alive(*process) for process in started.items()) and time.monotonic() < until:
        time.sleep(0.002)


def bring_back(lab, name):
    """Starts the daemon where it does not run."""
    if not lab.is_up(name):
        lab.start_node(name)


@contextlib.contextmanager
def frozen(pids):
    for pid in pids:
        processes.send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            processes.send(pid, signal.SIGCONT)


# The faults

def agentkill(lab, leader, watch):
    """the daemon's main process is killed alone"""
    kill_all([lab.daemon_pid(leader)])
    time.sleep(after_death(lab))
    bring_back(lab, leader)


def daemonkill(lab, leader, watch):
    """the daemon and all that it has started are killed, PostgreSQL and the guardian not"""
    kill_all(lab.helpers(leader))
    time.sleep(after_death(lab))
    bring_back(lab, leader)


def freeze(lab, leader, watch):
    """the daemon hangs (SIGSTOP) and goes on"""
    with frozen([lab.daemon_pid(leader)]):
        time.sleep(while_frozen(lab))


def guardiankill(lab, leader, watch):
    """the guardian is killed"""
    postmaster, begun = lab.postmaster(leader), time.monotonic()
    kill_all([lab.guardian(leader)])
    while lab.postmaster(leader) == postmaster and time.monotonic() < begun + 10:
        time.sleep(0.01)
    ended = lab.postmaster(leader) != postmaster
    took = round(time.monotonic() - begun, 3)
    time.sleep(after_death(lab) - took)
    return {"postgresql_ended_after_s": took if ended else None}


def bothkill(lab, leader, watch):
    """the guardian and the daemon with all that it has started are killed at once"""
    kill_all([lab.guardian(leader)] + lab.helpers(leader))
    time.sleep(after_death(lab))
    bring_back(lab, leader)


def guardianfreeze(lab, leader, watch):
    """the guardian hangs (SIGSTOP) and goes on"""
    with frozen([lab.guardian(leader)]):
        time.sleep(while_frozen(lab))


def memory(lab, leader, watch):
    """the daemon gets no more memory: by a control group where there is one, and by a limit of the process"""
    pid = lab.daemon_pid(leader)
    cage = memory_cage(lab, leader) if watch.round % 2 == 0 else None
    how = "control group" if cage else "limit of the process"
    try:
        if cage:
            (cage / "cgroup.procs").write_text(str(pid))
        else:
            limit_memory(pid)
        pressure(lab, leader, after_death(lab))
        died = not lab.is_up(leader)
        # One that lives on under the limit is restarted without it: the next round begins with a sound daemon.
        if not died:
            kill_all(lab.helpers(leader))
            lab.wait("end of the daemon", 10, lambda: "it runs" if lab.is_up(leader) else None)
    finally:
        bring_back(lab, leader)
        if cage:
            cage.rmdir()
    return {"how": how, "daemon": "died" if died else "lived"}


def limit_memory(pid):
    """Forbids a process to grow, as its own user, who needs no permission to lower the limits of a process of his."""
    user = processes.run_as()
    identity = {} if not user else dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    # Of data, not of address space: heaps grow inside of space that was reserved before. And not of both: at its limit
    # of address space a process is not held to that of data.
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[5])
    done = subprocess.run([layout.program("prlimit"), f"--pid={pid}", f"--data={pages * resource.getpagesize()}"],
                          capture_output=True, text=True, **identity)
    if done.returncode != 0:
        raise Skip(f"prlimit: {done.stderr.strip()}")


def memory_cage(lab, name):
    """A control group of one megabyte, of version 2 or 1; None where we may make none."""
    top = pathlib.Path("/sys/fs/cgroup")
    unified = (top / "cgroup.controllers").exists()
    limits = {"memory.swap.max": "0", "memory.max": str(MEGABYTE)} if unified else {
        "memory.limit_in_bytes": str(MEGABYTE)}
    cage = (top if unified else top / "memory") / f"matriarch-faults-{os.getpid()}-{name}"
    try:
        cage.mkdir()
    except OSError:
        return None
    try:
        for file, value in limits.items():
            if (cage / file).exists() or file != "memory.swap.max":
                (cage / file).write_text(value)
    except OSError:
        cage.rmdir()
        return None
    return cage


def pressure(lab, name, seconds):
    """Makes the daemon want memory: unfinished requests on many connections, and answers that are not read."""
    until, held = time.monotonic() + seconds, []
    address = ("127.0.0.1", lab.ports.rest(lab.number(name)))
    begun = b"GET /cluster HTTP/1.1\r\nHost: lab\r\nX-Filler: " + b"x" * 4000
    while time.monotonic() < until:
        try:
            peer = socket.create_connection(address, 1)
            peer.setblocking(False)
            peer.send(begun if len(held) % 2 else b"GET /cluster HTTP/1.1\r\nHost: lab\r\n\r\n" * 20)
            held.append(peer)
        except OSError:
            time.sleep(0.05)
        if len(held) > 400:
            for peer in held[:200]:
                peer.close()
            del held[:200]
        time.sleep(0.005)
    for peer in held:
        peer.close()


def logdisk(lab, leader, watch):
    """the disk of the daemon's log is full"""
    filler = lab.disk(leader) / "filler"
    try:
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        time.sleep(after_death(lab))
    finally:
        filler.unlink(missing_ok=True)


def hostloss(lab, leader, watch):
    """the whole machine is lost: daemon, guardian and PostgreSQL at once"""
    hostloss_now(lab, leader)
    lab.wait("new leader", 60 + 2 * lab.ttl, lambda: None if lab.leader() not in (None, leader) else "no other leads")
    time.sleep(3)
    bring_back(lab, leader)


def hostloss_now(lab, name):
    """What is lost with a machine."""
    postmaster = lab.postmaster(name)
    kill_all(lab.guardians(name) + lab.helpers(name) + [postmaster] + processes.children(postmaster))


def promotion(lab, leader, watch):
    """the machine is lost, and the daemon of the next leader as soon as that one takes writes"""
    hostloss_now(lab, leader)
    others = {name: w for name, w in watch.witnesses.items() if name != leader}
    until = time.monotonic() + 60 + 2 * lab.ttl
    while not (found := [name for name, w in others.items() if w.accepted]):
        if time.monotonic() > until:
            raise Trouble("no other node takes writes")
        time.sleep(0.005)
    kill_all(lab.helpers(found[0]))
    time.sleep(after_death(lab))
    for name in (leader, found[0]):
        bring_back(lab, name)


def storefreeze(lab, leader, watch):
    """etcd hangs (SIGSTOP) for longer than the lease and goes on"""
    with frozen([lab.running[name][0] for name in lab.etcd_names()]):
        time.sleep(while_frozen(lab))


def restarts(lab, leader, watch, times=50):
    """the daemon is killed and started again, fifty times"""
    postmaster, failed = lab.postmaster(leader), watch.writer.failed
    slowest = 0.0
    for _ in range(times):
        pid, started = lab.running[leader]
        processes.send(pid, signal.SIGKILL)
        lab.wait("end of the daemon", 10, lambda: "it runs" if processes.alive(pid, started) else None)
        begun = time.monotonic()
        lab.start_node(leader)
        lab.wait("leader again", 60 + 2 * lab.ttl, lambda: None if lab.leader() else "no node leads")
        slowest = max(slowest, time.monotonic() - begun)
        # How soon after its start a daemon can be killed again is another question.
        time.sleep(1)
        if lab.leader() != leader or lab.postmaster(leader) != postmaster:
            break
    return {"restarts": times, "same_postmaster": lab.postmaster(leader) == postmaster,
            "same_leader": lab.leader() == leader, "failed_during": watch.writer.failed - failed,
            "slowest_restart_s": round(slowest, 2)}


logdisk.needs = {"small_disk": True}
FAULTS = [
    daemonkill, agentkill, freeze, guardiankill, bothkill, guardianfreeze, memory, logdisk, hostloss, promotion,
    storefreeze, restarts]


def broken_promises(name, row):
    """What a round's figures show that must not be, in words."""
    broken = list(row.get("also_broken", []))  # what the fault itself saw
    if row["two_primaries_s"] > 0:
        broken.append(f"two nodes accepted writes for {row['two_primaries_s']} s")
    if row["primary_twice_s"] > 0:
        broken.append(f"two nodes said they were the primary for {row['primary_twice_s']} s")
    if row.get("mode") and row["lost_other"]:
        broken.append(f"{row['lost_other']} acknowledged rows are lost in synchronous mode")
    if row["lost_received"]:
        broken.append(f"{row['lost_received']} acknowledged rows are lost that a standby had received")
    if name == "restarts":
        broken += [f"{what}: {row[what]}" for what, right in [
            ("same_postmaster", True), ("same_leader", True), ("failed_during", 0)] if row[what] != right]
    if name == "guardiankill" and row["postgresql_ended_after_s"] is None:
        broken.append("PostgreSQL outlived its guardian")
    if name == "logdisk" and row["leader"][0] != row["leader"][1]:
        broken.append("a full disk of the log cost the leadership")
    return broken
