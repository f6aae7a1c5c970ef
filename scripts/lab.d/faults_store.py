"""Faults of the store: endpoints that answer nonsense, an etcd that lost its memory, one that is full."""
import base64
import http.server
import pathlib
import shutil
import signal
import threading
import time

import cluster
import layout
import processes
from breakages import after_death, bring_back, frozen, kill_all
from processes import Trouble

# What stands where etcd stood: status, type of the content, content.
NONSENSE = [
    (404, "text/plain", "404 page not found\n"),
    (403, "text/html", "<html>forbidden</html>"),
    (200, "text/html", "<html>welcome</html>"),
    (500, "application/json", '{"error":"internal error","code":13,"message":"internal error"}'),
    (200, "application/json", '{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}'),
    (301, "text/html", ""),
]


class Impostor(http.server.BaseHTTPRequestHandler):
    """Answers everything with one kind of nonsense after another."""
    protocol_version = "HTTP/1.1"
    asked = 0

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        Impostor.asked += 1
        status, kind, text = NONSENSE[Impostor.asked // 3 % len(NONSENSE)]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        if status == 301:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = answer

    def log_message(self, *_): pass


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address, daemon_threads = True, True


def listening(port):
    """An impostor in etcd's place; the port of a process that was killed is free a moment later."""
    until = time.monotonic() + 10
    while True:
        try:
            return Server(("127.0.0.1", port), Impostor)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def end_etcd(lab, name):
    """Also its ports are free then: the kernel closes those of a killed one when all its threads have ended."""
    processes.end(*lab.running[name], [(signal.SIGKILL, 10)])
    number = int(name[1:])
    ports = [lab.ports.etcd_client(number), lab.ports.etcd_peer(number)]
    lab.wait("free ports of etcd", 10, lambda: [port for port in ports if layout.busy(port)])


def etcd_arguments(lab, name, *more):
    """The command line of a running etcd, and what it is to have on top."""
    pid = lab.running[name][0]
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    options = {more[at] for at in range(0, len(more), 2)}
    kept = [words[0]]
    for at in range(1, len(words), 2):
        if words[at] not in options:
            kept += words[at:at + 2]
    return kept + list(more)


def gateway(lab, path, body):
    status, text = cluster.http("POST", f"http://127.0.0.1:{lab.ports.etcd_client(1)}/v3{path}", body)
    if status != 200:
        raise Trouble(f"etcd answers {path} with {status}: {text}")
    return cluster.json.loads(text)


# The faults

def badendpoint(lab, leader, watch):
    """one etcd after another is replaced by a program that answers nonsense, while the two others are well"""
    broken = []
    Impostor.asked = 0
    for number in range(1, lab.etcds + 1):
        name = f"e{number}"
        arguments = etcd_arguments(lab, name)
        # The daemons stand still meanwhile: one that finds the port closed goes elsewhere and never meets who comes.
        with frozen([lab.daemon_pid(node) for node in lab.node_names()]):
            end_etcd(lab, name)
            impostor = listening(lab.ports.etcd_client(number))
        threading.Thread(target=impostor.serve_forever, daemon=True).start()
        try:
            # Longer than the lease: a leader that goes on asking here loses it.
            time.sleep(lab.ttl + 2)
            if watch.silence(time.monotonic() - 1):
                broken.append(f"nobody writes while {name} answers nonsense and two others are well")
        finally:
            impostor.shutdown()
            impostor.server_close()
            lab.start(name, arguments)
        lab.wait("etcd", 30, lab._etcd_trouble)
    if Impostor.asked == 0:
        broken.append("nobody has asked the impostor")
    return {"impostor_asked": Impostor.asked, "also_broken": broken}


badendpoint.needs = {"etcds": 3}


def etcdamnesia(lab, leader, watch):
    """etcd loses its data directory and begins anew, in turn with the same cluster id and with another"""
    token = "etcd-cluster" if watch.round % 2 else f"life-{watch.round}"
    arguments = etcd_arguments(lab, "e1", "--initial-cluster-token", token)
    end_etcd(lab, "e1")
    shutil.rmtree(lab.directory / "e1" / "data")
    lab.start("e1", arguments)
    lab.wait("etcd", 30, lab._etcd_trouble)
    return {"how": "the same cluster id" if watch.round % 2 else "another cluster id"}


def nospace(lab, leader, watch):
    """etcd is full (NOSPACE), the leader's machine is lost meanwhile, and later there is room again"""
    restart(lab, "--quota-backend-bytes", str(quota(lab)))
    fill(lab)
    # Where etcd took longer to come back than the lease lasts, another one leads by now, or the same once more.
    lab.wait("a leader", 30 + 3 * lab.ttl, lambda: None if lab.leader() else "no node leads")
    leader = lab.leader()
    postmaster = lab.postmaster(leader)
    kill_all(lab.guardians(leader) + lab.helpers(leader) + [postmaster] + processes.children(postmaster))
    time.sleep(lab.ttl + 1)
    before, begun = lines(lab, leader), time.monotonic()
    time.sleep(after_death(lab))
    said, took = lines(lab, leader) - before, time.monotonic() - begun
    broken = []
    if said > 2 * took * (lab.nodes - 1):
        broken.append(f"{said} lines in {took:.0f} s while no key could be written")
    if "database space exceeded" not in "".join(lab.log(n).read_text(errors="replace") for n in others(lab, leader)):
        broken.append("nobody has told what the store says")
    restart(lab, "--quota-backend-bytes", str(2 << 30))
    for alarm in gateway(lab, "/maintenance/alarm", {"action": "GET"}).get("alarms", []):
        gateway(lab, "/maintenance/alarm", {**alarm, "action": "DEACTIVATE"})
    bring_back(lab, leader)
    return {"lines_meanwhile": said, "also_broken": broken}


def others(lab, leader): return [name for name in lab.node_names() if name != leader]


def lines(lab, leader): return sum(lab.log(name).read_bytes().count(b"\n") for name in others(lab, leader))


def quota(lab): return (lab.directory / "e1" / "data" / "member" / "snap" / "db").stat().st_size + (1 << 20)


def restart(lab, *more):
    arguments = etcd_arguments(lab, "e1", *more)
    end_etcd(lab, "e1")
    lab.start("e1", arguments)
    lab.wait("etcd", 30, lambda: None if answers(lab) else "it does not answer")


def answers(lab):
    """Whether e1 reads; its health is bad while the alarm is raised."""
    key = base64.b64encode(b"/").decode()
    return cluster.http("POST", f"http://127.0.0.1:{lab.ports.etcd_client(1)}/v3/kv/range", {"key": key})[0] == 200


def fill(lab):
    """Writes beside the cluster's keys until etcd takes no more, and removes nothing."""
    value = base64.b64encode(b"x" * 30000).decode()
    for number in range(400):
        key = base64.b64encode(f"/filler/{number}".encode()).decode()
        status, text = cluster.http("POST", f"http://127.0.0.1:{lab.ports.etcd_client(1)}/v3/kv/put",
                                    {"key": key, "value": value})
        if status != 200:
            if "space exceeded" in text:
                return
            raise Trouble(f"filling etcd: {status} {text}")
    raise Trouble("etcd does not become full")


FAULTS = [badendpoint, etcdamnesia, nospace]
