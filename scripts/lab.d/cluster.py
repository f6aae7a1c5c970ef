"""The lab's cluster: what it consists of, how its parts are started, watched and ended."""
import fcntl
import json
import os
import pathlib
import platform
import secrets
import shlex
import shutil
import signal
import time
import urllib.error
import urllib.request

import layout
import processes
from processes import Trouble

# Loopback is asked directly, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http(method, url, body=None, timeout=5):
    """(status, body) of one request; status 0 and the reason when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers={"Content-Type": "application/json"})
    try:
        with _direct.open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except Exception as error:  # refused, reset, timed out, not HTTP: all of them mean "no answer"
        return 0, repr(error)


def http_json(url, timeout=3):
    status, body = http("GET", url, timeout=timeout)
    try:
        return json.loads(body) if status else {}
    except ValueError:
        return {}


class Lab:
    def __init__(self, directory, base=None, nodes=3, etcds=1, daemon=None, dcs=None, say=lambda text: None):
        self.directory = pathlib.Path(directory)
        self.ports, self.nodes, self.etcds = layout.Ports(base), nodes, etcds
        self.daemon, self.dcs = daemon, {**layout.PATRONI_DEFAULTS, **(dcs or {})}
        self.password, self.running, self.say = secrets.token_hex(8), {}, say

    # What is remembered between two commands

    @property
    def _state(self): return self.directory / "lab.json"

    @staticmethod
    def load(directory, say=lambda text: None):
        """The lab in `directory`, or None where there is none."""
        try:
            state = json.loads((pathlib.Path(directory) / "lab.json").read_text())
        except FileNotFoundError:
            return None
        except PermissionError:
            raise Trouble(f"the lab in {directory} belongs to another user")
        lab = Lab(directory, state["port_base"], state["nodes"], state["etcds"], state["daemon"], state["dcs"], say)
        lab.password = state["password"]
        lab.running = {name: tuple(identity) for name, identity in state["running"].items()}
        return lab

    def save(self):
        draft = self._state.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"port_base": self.ports.base, "nodes": self.nodes, "etcds": self.etcds, "daemon": self.daemon,
                       "dcs": self.dcs, "password": self.password, "running": self.running}, file, indent=1)
        os.replace(draft, self._state)

    # Names

    def node_names(self): return [f"n{i}" for i in range(1, self.nodes + 1)]

    def etcd_names(self): return [f"e{i}" for i in range(1, self.etcds + 1)]

    def number(self, name):
        if name not in self.node_names():
            raise Trouble(f"there is no node '{name}'; there are {', '.join(self.node_names())}")
        return int(name[1:])

    def rest(self, name, path=""): return f"http://127.0.0.1:{self.ports.rest(self.number(name))}{path}"

    def data(self, name): return self.directory / name / "data"

    def log(self, name): return self.directory / f"{name}.log"

    def postmaster(self, name): return processes.postmaster(self.data(name))

    def is_up(self, name): return name in self.running and processes.alive(*self.running[name])

    # Start

    def prepare(self):
        """Directories and configuration files; the data of an earlier run stays."""
        user = processes.run_as()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        for name in self.node_names() + self.etcd_names():
            (self.directory / name).mkdir(exist_ok=True, mode=0o700)
        if len(str(self.directory / "n1" / ".s.PGSQL.65535")) > 107:
            raise Trouble(f"{self.directory} is too long a path for PostgreSQL's socket; choose another with --dir")
        for name in self.node_names():
            self._write(f"{name}.yml", self.configuration(name))
        self._write("haproxy.cfg", layout.haproxy_configuration(self))
        if user:
            for path in [self.directory, *self.directory.iterdir()]:
                os.chown(path, user.pw_uid, user.pw_gid)
        self.save()

    def configuration(self, name): return layout.node_configuration(self, self.number(name))

    def _write(self, name, text):
        with open(os.open(self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)

    def check_ports(self):
        """Says which ports of parts that do not run yet are taken by others."""
        ours = {f"n{i}" for i in range(1, self.nodes + 1) if self.is_up(f"n{i}") or self.postmaster(f"n{i}")}
        ours |= {name for name in self.etcd_names() + ["haproxy"] if self.is_up(name)}
        taken = [f"{port} ({what})" for port, what in self.ports.all(self.nodes, self.etcds)
                 if not any(name in what or (name == "haproxy" and what.startswith("HAProxy")) for name in ours)
                 and layout.busy(port)]
        if taken:
            raise Trouble("these ports are in use: " + ", ".join(taken) +
                          "\nanother block of ports: scripts/lab up --port-base 21000")

    def start(self, name, argv, output=None):
        if self.is_up(name):
            return
        mark = {processes.MARK: str(self.directory), f"{processes.MARK}_PART": f"{self.directory}/{name}"}
        if platform.machine() == "aarch64":
            mark["ETCD_UNSUPPORTED_ARCH"] = "arm64"  # etcd 3.4 starts there only when told so
        mark.update(self.environment(name))
        self.running[name] = processes.spawn(argv, self.log(name), self.directory, mark, output)
        self.save()

    def environment(self, name):
        """What a part has in its environment on top."""
        return {}

    def start_etcd(self):
        etcd = layout.program("etcd")
        peers = ",".join(f"e{i}=http://127.0.0.1:{self.ports.etcd_peer(i)}" for i in range(1, self.etcds + 1))
        for i in range(1, self.etcds + 1):
            client, peer = (f"http://127.0.0.1:{port}" for port in (self.ports.etcd_client(i), self.ports.etcd_peer(i)))
            self.start(f"e{i}", [
                etcd, "--name", f"e{i}", "--data-dir", str(self.directory / f"e{i}" / "data"),
                "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer, "--initial-cluster", peers])
        self.wait("etcd", 30, self._etcd_trouble)

    def _etcd_trouble(self):
        sick = [f"e{i}" for i in range(1, self.etcds + 1)
                if http("GET", f"http://127.0.0.1:{self.ports.etcd_client(i)}/health")[0] != 200]
        return f"etcd does not answer on {', '.join(sick)}" if sick else None

    def start_node(self, name): self.start(name, self.daemon + [str(self.directory / f"{name}.yml")])

    def start_haproxy(self):
        self.start("haproxy", [layout.program("haproxy"), "-db", "-f", str(self.directory / "haproxy.cfg")])
        self.say(f"HAProxy: writes on port {self.ports.writes}, reads on {self.ports.reads}, "
                 f"statistics on http://127.0.0.1:{self.ports.statistics}/")

    def up(self):
        """Starts what does not run and waits until one node leads and all others stream from it."""
        self.check_ports()
        self.prepare()
        self.start_etcd()
        self.say(f"etcd: {self.etcds} on port {', '.join(str(self.ports.etcd_client(i + 1)) for i in range(self.etcds))}")
        self.start_haproxy()
        first, rest = self.node_names()[0], self.node_names()[1:]
        if self.leader() is None and not self.data(first).exists():
            # A new cluster: the first node creates it, and the others need not wait for their turn to look again.
            self.start_node(first)
            self.say(f"{first}: started; it creates the cluster")
            self.wait("a leader", 120, lambda: None if self.leader() else "no node leads")
            self.say(f"{self.leader()}: leads, writable")
            fresh = f"{', '.join(rest)}: started; base backup, then streaming"
        else:
            fresh = None
        waiting = [name for name in self.node_names() if not self.is_up(name)]
        for name in waiting:
            self.start_node(name)
        if waiting:
            self.say(fresh or f"{', '.join(waiting)}: started upon the data of last time")
        self.wait("a healthy cluster", 180, self.trouble)
        self.say(f"healthy: {self.leader()} leads, {self.nodes - 1} streaming replicas")

    def wait(self, what, seconds, trouble):
        """Waits until `trouble()` has nothing to tell; says now and then what is still missing."""
        started = said = time.monotonic()
        while True:
            missing = trouble()
            if not missing:
                return
            dead = [name for name in self.running if not self.is_up(name)]
            now = time.monotonic()
            if now - started > seconds:
                raise Trouble(f"no {what} within {seconds} s: {missing}" +
                              (f"\nended: {', '.join(dead)}" if dead else "") + "\n" + self.tails(dead))
            if now - said > 10:
                said = now
                self.say(f"waiting: {missing}" + (f" (ended: {', '.join(dead)})" if dead else ""))
            time.sleep(0.2)

    def tails(self, names=()):
        """The last lines of the logs, for a message of failure."""
        parts = []
        for name in names or self.node_names():
            try:
                lines = self.log(name).read_text(errors="replace").splitlines()[-12:]
            except OSError:
                continue
            parts += [f"--- {self.log(name)}", *lines]
        return "\n".join(parts)

    # Observation

    def members(self):
        """The members as a node sees them: `members` of /cluster, from the first node that answers."""
        for name in self.node_names():
            if self.is_up(name):
                members = http_json(self.rest(name, "/cluster")).get("members")
                if members:
                    return members
        return []

    def leader(self):
        """The node that says of itself that it is the primary."""
        for name in self.node_names():
            if self.is_up(name) and http("GET", self.rest(name, "/primary"), timeout=3)[0] == 200:
                return name
        return None

    def streaming(self):
        return [m["name"] for m in self.members() if m.get("role") != "leader" and m.get("state") == "streaming"]

    def served(self):
        """What HAProxy sends where: {"writes": [names], "reads": [names]}."""
        status, text = http("GET", f"http://127.0.0.1:{self.ports.statistics}/;csv", timeout=3)
        found = {"writes": [], "reads": []}
        for line in text.splitlines() if status == 200 else []:
            fields = line.split(",")
            if fields[0] in found and fields[1] not in ("FRONTEND", "BACKEND") and fields[17].startswith("UP"):
                found[fields[0]].append(fields[1])
        return found

    def trouble(self):
        """What is missing for a healthy cluster, in words; None when nothing is."""
        leader = self.leader()
        if leader is None:
            return "no node leads"
        behind = [name for name in self.node_names() if name != leader and name not in self.streaming()]
        if behind:
            return f"not streaming from {leader}: {', '.join(behind)}"
        served = self.served()
        if served["writes"] != [leader] or len(served["reads"]) != self.nodes - 1:
            return "HAProxy has not yet noticed"
        return None

    # Ends

    def kill(self, what, name):
        """SIGKILL to PostgreSQL, the daemon, or both; as when the machine loses them."""
        postmaster = self.postmaster(name)
        victims = []
        if what in ("daemon", "both") and self.is_up(name):
            victims += processes.daemon_tree(self.running[name][0])
        if what == "both":
            victims += [pid for pid in processes.marked(f"{self.directory}/{name}", f"{processes.MARK}_PART")
                        if pid not in victims]
        if what in ("postgres", "both") and postmaster:
            victims += [postmaster] + (processes.children(postmaster) if what == "both" else [])
        if not victims:
            raise Trouble(f"{name}: nothing to kill, {what} does not run")
        for pid in victims:
            processes.send(pid, signal.SIGKILL)
        return victims

    def down(self):
        """Ends everything: replicas before the leader, the daemons before etcd, and what they left behind."""
        leader = self.leader()
        nodes = sorted((n for n in self.node_names() if self.is_up(n)), key=lambda n: n == leader)
        for name in nodes:
            self.say(f"{name}: stopping")
            pid, started = self.running[name]
            if not processes.end(pid, started, [(signal.SIGTERM, 30)]):
                self.say(f"{name}: did not stop within 30 s; killed")
                for victim in processes.daemon_tree(pid):
                    processes.send(victim, signal.SIGKILL)
        for name in self.node_names():
            pid = self.postmaster(name)
            if pid and not processes.end(pid, processes.start_time(pid),
                                         [(signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)]):
                raise Trouble(f"{name}: PostgreSQL (pid {pid}) does not end")
        for name in ["haproxy"] + self.etcd_names():
            if self.is_up(name):
                processes.end(*self.running[name], [(signal.SIGTERM, 5), (signal.SIGKILL, 5)])
        for pid in processes.marked(str(self.directory)):
            processes.end(pid, processes.start_time(pid), [(signal.SIGTERM, 2), (signal.SIGKILL, 5)])
        self.running = {}
        self.save()

    def remove(self):
        shutil.rmtree(self.directory)


def command(text):
    """A command line as words, its program as a full path."""
    words = shlex.split(text)
    if not words:
        raise Trouble("--daemon needs a command")
    found = shutil.which(words[0])
    if not found:
        raise Trouble(f"--daemon: there is no program {words[0]}")
    return [os.path.abspath(found)] + words[1:]


def locked(directory):
    """Holds the lab for one command at a time; the lock goes with the process."""
    path = pathlib.Path(f"{directory}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Trouble(f"another scripts/lab is at work in {directory}")
    return file
