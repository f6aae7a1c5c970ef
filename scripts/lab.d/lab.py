"""The commands of scripts/lab."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import layout  # noqa: E402
from processes import Trouble, run_as  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
STARTED = time.monotonic()

DESCRIPTION = """\
A real cluster on this machine's loopback: etcd, N nodes (each a daemon and its PostgreSQL), and HAProxy.

commands:
  up                            install what is missing, build, start what does not run, wait until healthy (default)
  status                        the members, and what HAProxy sends where
  kill [postgres|daemon|both] [NODE]
                                SIGKILL; without NODE upon the primary, without a choice both
  start NODE                    start the daemon of a killed node again
  switchover [CANDIDATE]        hand the leadership to CANDIDATE, or to a streaming replica
  logs [NODE] [-f]              the last lines of the logs; -f goes on
  down                          stop everything; the data stays for the next `up`
  reset                         stop everything and remove the data
"""
EPILOGUE = """\
ports (customary / with --port-base B):
  HAProxy writes, reads, statistics   5000, 5001, 7000    B, B+1, B+2
  etcd e1..e3, clients                2379, 2381, 2383    B+10, B+12, B+14   (peers: one higher)
  REST of n1..n7                      8008..8014          B+101..B+107
  PostgreSQL of n1..n7                5432..5438          B+201..B+207

As root everything runs as the user postgres, else as the user who calls. Another daemon than the one built here:
  scripts/lab up --daemon "$(scripts/setup peer)/bin/patroni"
"""


def say(text):
    print(f"{time.monotonic() - STARTED:7.1f} s  {text}", flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/lab", description=DESCRIPTION, epilog=EPILOGUE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = ["up", "status", "kill", "start", "switchover", "logs", "down", "reset"]
    parser.add_argument("command", nargs="?", default="up", choices=commands, metavar="COMMAND")
    parser.add_argument("words", nargs="*", metavar="ARGUMENT")
    parser.add_argument("--nodes", type=int, metavar="N", help="nodes, 2 to 7 (default 3)")
    parser.add_argument("--etcd", type=int, choices=[1, 3], help="etcd servers, 1 or 3 (default 1)")
    parser.add_argument("--port-base", type=int, metavar="B", help="a block of ports of one's own, see below")
    parser.add_argument("--dir", metavar="DIRECTORY", help="where the lab keeps its data; each is a lab of its own")
    parser.add_argument("--daemon", metavar="COMMAND", help="run this instead of the daemon built from this tree")
    parser.add_argument("--dcs", metavar="KEY=VALUE", action="append", default=[],
                        help="a setting of bootstrap.dcs, for instance ttl=20; only for a new cluster")
    parser.add_argument("-f", "--follow", action="store_true", help="with logs: go on as they grow")
    return parser.parse_intermixed_args()


def directory(options):
    if options.dir:
        return pathlib.Path(os.path.abspath(options.dir))
    return layout.default_directory(options.port_base)


def existing(options):
    lab = cluster.Lab.load(directory(options), say)
    if lab is None:
        raise Trouble(f"there is no lab in {directory(options)}; start one: scripts/lab up")
    return lab


# up

def setup(groups):
    if subprocess.run([str(REPOSITORY / "scripts" / "setup"), *groups]).returncode != 0:
        raise Trouble("what the lab needs is not installed (see above)")


def swift():
    """The toolchain's driver; a toolchain is often on the PATH of one user only."""
    places = os.environ.get("PATH", "").split(":") + [
        "/usr/local/swift/usr/bin", os.path.expanduser("~/.local/share/swiftly/bin")]
    found = shutil.which("swift", path=":".join(places))
    if not found:
        raise Trouble("there is no swift on the PATH; install Swift 6.3 (https://www.swift.org/install/linux/)")
    return found


def build(target, names=("matriarch-guardian", "matriarch")):  # the daemon looks for the guardian beside itself
    """Builds the daemon and puts it into the lab: the tree may be where the user postgres cannot read.

    The Swift runtime is linked in, so that the daemon does not need the toolchain's libraries.
    """
    say(f"building {names[-1]} (release); the first build takes some minutes")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name in names:
        arguments = [swift(), "build", "--package-path", str(REPOSITORY), "-c", "release", "--product", name,
                     "--static-swift-stdlib"]
        if subprocess.run(arguments, stdout=sys.stderr).returncode != 0:
            raise Trouble("the build failed (see above)")
        place = subprocess.run(arguments + ["--show-bin-path"], capture_output=True, text=True, check=True).stdout
        draft = target.parent / f"{name}.new"
        shutil.copyfile(f"{place.strip()}/{name}", draft)
        draft.chmod(0o755)
        draft.replace(target.parent / name)  # a daemon that runs keeps its file
    return [str(target)]


def up(options):
    place = directory(options)
    hold = cluster.locked(place)
    lab = cluster.Lab.load(place, say)
    if lab:
        for given, present, name in [(options.nodes, lab.nodes, "nodes"), (options.etcd, lab.etcds, "etcd servers"),
                                     (options.port_base, lab.ports.base, "as port base")]:
            if given is not None and given != present:
                raise Trouble(f"the lab in {place} has {present} {name}, not {given}; first: {this(lab)} reset")
        if all(lab.is_up(name) for name in lab.node_names() + lab.etcd_names() + ["haproxy"]) and not options.daemon:
            return status(options)
    else:
        if options.nodes is not None and not 2 <= options.nodes <= 7:
            raise Trouble(f"--nodes {options.nodes}: allowed is 2 to 7")
        settings = dict(pair.split("=", 1) for pair in options.dcs if "=" in pair)
        lab = cluster.Lab(place, options.port_base, options.nodes or 3, options.etcd or 1, dcs=settings, say=say)
    setup(["lab"] if options.daemon else ["build", "lab"])
    lab.check_ports()
    lab.daemon = cluster.command(options.daemon) if options.daemon else build(place / "bin" / "matriarch")
    user = run_as()
    say(f"the lab is in {place}" + (f", its programs run as {user.pw_name}" if user else ""))
    lab.up()
    print()
    table(lab)
    print()
    print(hints(lab))
    del hold


def this(lab):
    """How to call scripts/lab for this lab."""
    if lab.directory == layout.default_directory(None):
        return "scripts/lab"
    if lab.directory == layout.default_directory(lab.ports.base):
        return f"scripts/lab --port-base {lab.ports.base}"
    return f"scripts/lab --dir {lab.directory}"


def hints(lab):
    leader = lab.leader() or "n1"
    candidate = next(iter(lab.streaming()), "n2")
    again = this(lab)

    def psql(port, query):
        return f"PGPASSWORD={lab.password} psql -h 127.0.0.1 -p {port} -U postgres -c \"{query}\""

    return f"""Try next:
  write, through HAProxy    {psql(lab.ports.writes, "CREATE TABLE IF NOT EXISTS t(i int); INSERT INTO t VALUES (1)")}
  read, through HAProxy     {psql(lab.ports.reads, "SELECT count(*), inet_server_port() FROM t")}
  switch over               curl -XPOST {lab.rest(leader, "/switchover")} -d '{{"leader":"{leader}","candidate":"{candidate}"}}'
  kill the primary          {again} kill both
  look                      {again} status
  ask why                   {again} logs
  start the killed node     {again} start {leader}
  statistics of HAProxy     http://127.0.0.1:{lab.ports.statistics}/
  stop; remove              {again} down; {again} reset"""


# status

def table(lab):
    members = {member["name"]: member for member in lab.members()}
    rows = [("name", "address", "role", "state", "TL", "lag", "daemon", "PostgreSQL")]
    for name in lab.node_names() + sorted(set(members) - set(lab.node_names())):
        member = members.get(name, {})
        ours = name in lab.node_names()
        address = f"{member['host']}:{member['port']}" if "port" in member else (
            f"127.0.0.1:{lab.ports.postgresql(lab.number(name))}" if ours else "?")
        daemon = f"pid {lab.running[name][0]}" if ours and lab.is_up(name) else ("down" if ours else "?")
        postmaster = lab.postmaster(name) if ours else None
        rows.append((name, address, member.get("role", "-"), member.get("state", "not a member"),
                     str(member.get("timeline", "-")), str(member.get("lag", "-")), daemon,
                     f"pid {postmaster}" if postmaster else ("down" if ours else "?")))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    served = lab.served()
    print(f"HAProxy: writes ({lab.ports.writes}) to {', '.join(served['writes']) or 'nobody'}, "
          f"reads ({lab.ports.reads}) to {', '.join(served['reads']) or 'nobody'}")


def status(options):
    lab = existing(options)
    table(lab)
    trouble = lab.trouble()
    if trouble:
        print(f"not healthy: {trouble}")
        return 1
    print()
    print(hints(lab))
    return 0


# the others

def primary(lab):
    leader = lab.leader()
    if leader is None:
        raise Trouble("no node leads now")
    return leader


def kill(options):
    lab, what, name = existing(options), "both", None
    for word in options.words:
        if word in ("postgres", "daemon", "both"):
            what = word
        else:
            lab.number(word)
            name = word
    name = name or primary(lab)
    victims = lab.kill(what, name)
    say(f"{name}: killed {what}, pids {' '.join(map(str, victims))}")
    if what != "postgres":
        print(f"start it again: {this(lab)} start {name}")


def start(options):
    lab = existing(options)
    if len(options.words) != 1:
        raise Trouble("usage: scripts/lab start NODE")
    name = options.words[0]
    lab.number(name)
    if lab.is_up(name):
        raise Trouble(f"{name}: its daemon runs already")
    lab.start_node(name)
    lab.wait("a healthy cluster", 120, lab.trouble)
    say("healthy again")
    table(lab)


def switchover(options):
    lab = existing(options)
    leader = primary(lab)
    candidate = options.words[0] if options.words else next((n for n in lab.streaming() if n != leader), None)
    if candidate is None:
        raise Trouble("no replica streams now")
    begun = time.monotonic()
    code, answer = cluster.http("POST", lab.rest(leader, "/switchover"), {"leader": leader, "candidate": candidate}, 120)
    print(f"{code} {answer} ({time.monotonic() - begun:.2f} s)")
    return 0 if code == 200 else 1


def logs(options):
    lab = existing(options)
    names = options.words or lab.node_names()
    files = [str(lab.log(name)) for name in names if lab.log(name).exists()]
    if not files:
        raise Trouble(f"no such log; there are {', '.join(lab.node_names() + lab.etcd_names() + ['haproxy'])}")
    os.execvp("tail", ["tail", "-n", "40", *(["-F"] if options.follow else []), *files])


def down(options):
    hold = cluster.locked(directory(options))
    existing(options).down()
    say("stopped; the data stays (scripts/lab reset removes it)")
    del hold


def reset(options):
    hold = cluster.locked(directory(options))
    lab = cluster.Lab.load(directory(options), say)
    if lab is None:
        print(f"there is no lab in {directory(options)}")
        return
    lab.down()
    lab.remove()
    say(f"removed {lab.directory}")
    del hold


def main():
    options = parse()
    try:
        return {"up": up, "status": status, "kill": kill, "start": start, "switchover": switchover, "logs": logs,
                "down": down, "reset": reset}[options.command](options) or 0
    except Trouble as trouble:
        print(f"scripts/lab: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


if __name__ == "__main__":
    sys.exit(main())
