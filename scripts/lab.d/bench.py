"""Measures a daemon in the lab: how long nobody can write after each kind of fault, and how fast it answers health checks.

A client commits one row after another on whichever node takes writes. An episode is one fault; its figure is the longest
time between two acknowledgements from the fault on. What was acknowledged and is missing afterwards is counted, too.
"""
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import contest  # noqa: E402
import layout  # noqa: E402
from processes import Trouble  # noqa: E402

EPISODES = ["switchover", "crash", "hostloss", "dcsblip"]
# What each is called in /config, and the role of who has each commit.
MODES = {"async": (None, None), "on": (True, "sync_standby"), "quorum": ("quorum", "quorum_standby")}
PORT_BASE = 31000


class Psql:
    """One psql that is fed statements; every statement must print one line."""

    def __init__(self, lab):
        hosts = ",".join(["127.0.0.1"] * lab.nodes)
        ports = ",".join(str(lab.ports.postgresql(lab.number(name))) for name in lab.node_names())
        target = (f"host={hosts} port={ports} user=postgres dbname=postgres target_session_attrs=read-write "
                  "connect_timeout=2 tcp_user_timeout=1000")
        # Whose wait for a synchronous standby is cancelled is told of success: there nothing may cancel it.
        limit = "0" if lab.synchronous else "2s"
        environment = dict(os.environ, PGPASSWORD=lab.password, PGOPTIONS=f"-c statement_timeout={limit}")
        self.process = subprocess.Popen(
            [layout.program("psql"), "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", target], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True, bufsize=1)

    def ask(self, statement, seconds=3):
        """The line that the statement prints; None when the session is of no use any more."""
        try:
            self.process.stdin.write(statement + "\n")
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                return None
            return self.process.stdout.readline().strip() or None
        except OSError:
            return None

    def close(self):
        self.process.kill()
        self.process.communicate()


class BenchLab(cluster.Lab):
    """A lab in a synchronous mode, or in none: then `synchronous` is None, otherwise what its standbys are called."""
    synchronous = None

    def heirs(self):
        """Who may take over by a switchover."""
        if not self.synchronous:
            return self.streaming()
        return [member["name"] for member in self.members() if member.get("role") == self.synchronous]

    def trouble(self):
        return super().trouble() or (None if self.heirs() else "no standby is synchronous")


class Writer(threading.Thread):
    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.acknowledged, self.ended = lab, [], threading.Event()

    def run(self):
        row, session = 0, None
        while not self.ended.is_set():
            session = session or Psql(self.lab)
            row += 1
            if session.ask(f"INSERT INTO probe VALUES ({row}) RETURNING id;") == str(row):
                self.acknowledged.append((time.monotonic(), row))
                time.sleep(0.005)
            else:
                session.close()
                session = None
                time.sleep(0.01)
        if session:
            session.close()

    def last(self): return self.acknowledged[-1][0] if self.acknowledged else 0

    def gap(self, since):
        times = [at for at, _ in self.acknowledged if at >= since - 0.5]
        return max((b - a for a, b in zip(times, times[1:])), default=None)

    def stop(self):
        self.ended.set()
        self.join(10)


# The faults

def switchover(lab, leader):
    code, text = cluster.http("POST", lab.rest(leader, "/switchover"),
                              {"leader": leader, "candidate": lab.heirs()[0]}, 90)
    if code != 200:
        raise Trouble(f"switchover: {code} {text}")


def crash(lab, leader):
    os.kill(lab.postmaster(leader), signal.SIGKILL)


def hostloss(lab, leader):
    lab.kill("both", leader)
    lab.wait("new leader", 120, lambda: None if lab.leader() not in (None, leader) else "no other node leads")
    lab.start_node(leader)


def dcsblip(lab, leader):
    """The store hangs for five seconds and goes on."""
    pids = [lab.running[name][0] for name in lab.etcd_names()]
    for number, pause in [(signal.SIGSTOP, 5), (signal.SIGCONT, 0)]:
        for pid in pids:
            os.kill(pid, number)
        time.sleep(pause)


FAULTS = {"switchover": switchover, "crash": crash, "hostloss": hostloss, "dcsblip": dcsblip}


def episode(lab, fault):
    session = Psql(lab)
    session.ask("CREATE TABLE IF NOT EXISTS probe(id bigint); TRUNCATE probe; SELECT 1;")
    session.close()
    writer = Writer(lab)
    writer.start()
    lab.wait("a writer", 20, lambda: None if len(writer.acknowledged) > 100 else "no rows are acknowledged")
    begun = time.monotonic()
    fault(lab, lab.leader())
    lab.wait("writes", 120, lambda: None if writer.last() > max(begun + 3, time.monotonic() - 0.5) else "nobody writes")
    lab.wait("a healthy cluster", 120, lab.trouble)
    writer.stop()
    session = Psql(lab)
    present = set((session.ask("SELECT string_agg(id::text, ',') FROM probe;", 20) or "").split(","))
    session.close()
    lost = sum(str(row) not in present for _, row in writer.acknowledged)
    return {"gap_s": round(writer.gap(begun), 3), "acknowledged": len(writer.acknowledged), "lost": lost}


def rate(url):
    """Requests a second on 32 connections that are kept alive, where the server keeps them."""
    text = subprocess.run([layout.program("wrk"), "-t1", "-c32", "-d4s", "--latency", url],
                          capture_output=True, text=True).stdout
    return {"per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), "p99": re.search(r"99%\s+(\S+)", text)[1]}


def measure(name, mode, daemon, options):
    directory = layout.default_directory(PORT_BASE).parent / f"bench-{name}"
    hold = cluster.locked(directory)
    left = cluster.Lab.load(directory)
    if left:
        left.down()
        left.remove()
    settings = dict(pair.split("=", 1) for pair in options.dcs)
    if MODES[mode][0]:
        settings["synchronous_mode"] = MODES[mode][0]
    lab = BenchLab(directory, PORT_BASE, daemon=None, dcs=settings)
    lab.synchronous = MODES[mode][1]
    lab.prepare()
    found = {}
    try:
        lab.daemon = daemon(directory)
        begun = time.monotonic()
        lab.up()
        found["bootstrap_s"] = round(time.monotonic() - begun, 2)
        if "rest" in options.only:
            found["primary"] = rate(lab.rest(lab.leader(), "/primary"))
        for what in EPISODES:
            if what in options.only:
                found[what] = [episode(lab, FAULTS[what]) for _ in range(options.rounds)]
                print(f"{name}, {mode}: {what}: {found[what]}", file=sys.stderr, flush=True)
    finally:
        lab.down()
        lab.remove()
        del hold
    return found


def report(found):
    """Medians side by side; of two, the ratio is how many times better the first is."""
    def row(what, unit, values, better):
        cells = [f"{value:12.2f}" if value is not None else " " * 12 for value in values]
        ratio = f"{better(*values):8.1f}x" if len(values) == 2 and all(values) else ""
        print(f"{what:26}{unit:4}{''.join(cells)} {ratio}")

    names = list(found)
    print(f"{'':30}{''.join(name.rjust(12) for name in names)}")
    row("bootstrap", "s", [found[n]["bootstrap_s"] for n in names], lambda a, b: b / a)
    if all("primary" in found[n] for n in names):
        row("GET /primary", "1/s", [found[n]["primary"]["per_s"] for n in names], lambda a, b: a / b)
    for what in EPISODES:
        if all(what in found[n] for n in names):
            row(f"{what}: no writes", "s",
                [statistics.median(e["gap_s"] for e in found[n][what]) for n in names], lambda a, b: b / a)
            row(f"{what}: the longest", "s",
                [max(e["gap_s"] for e in found[n][what]) for n in names], lambda a, b: b / a)
            row(f"{what}: rows lost", "", [sum(e["lost"] for e in found[n][what]) for n in names], lambda a, b: b / a)


def measure_all(options):
    names = {"subject": "daemon" if options.daemon else "matriarch", "peer": "patroni"}
    daemons = contest.daemons(options, ["lab"] + (["bench"] if "rest" in options.only else []))
    several = len(options.modes) > 1
    return {("peer " * (who == "peer") + mode if several else names[who]): measure(names[who], mode, command, options)
            for mode in options.modes for who, command in daemons.items()}


def main():
    parser = contest.parser("scripts/bench", __doc__)
    parser.add_argument("--only", default="rest," + ",".join(EPISODES), help="parts, by default all: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="episodes of each kind (default 3)")
    parser.add_argument("--modes", default="async",
                        help=f"of {','.join(MODES)}, one after another: synchronous_mode (default %(default)s)")
    parser.add_argument("--dcs", metavar="KEY=VALUE", action="append", default=[], help="a setting of bootstrap.dcs")
    options = parser.parse_args()
    options.only, options.modes = options.only.split(","), options.modes.split(",")
    if set(options.only) - {"rest", *EPISODES} or any("=" not in pair for pair in options.dcs):
        parser.error(f"--only takes rest, {', '.join(EPISODES)}; --dcs takes KEY=VALUE")
    if set(options.modes) - set(MODES):
        parser.error(f"--modes takes {', '.join(MODES)}")
    return contest.run(options, measure_all, report)


if __name__ == "__main__":
    sys.exit(main())
