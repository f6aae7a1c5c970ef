"""The commands of scripts/faults."""
import argparse
import importlib
import json
import multiprocessing
import os
import pathlib
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import breakages  # noqa: E402
import cluster  # noqa: E402
import lab as commands  # noqa: E402
import layout  # noqa: E402
import load  # noqa: E402
import witness  # noqa: E402
from breakages import Skip  # noqa: E402
from processes import Trouble  # noqa: E402

DESCRIPTION = """\
Breaks the leader of a cluster of three real nodes under a writing client, and counts what that cost.

  rounds   faults one after another, each N times, on several labs at once
  random   rounds of 'draws': something breaks by lot while something is under way
  soak     load on processors and disk, and nothing else: nothing must happen

In every round a client commits rows, one after another, on whichever node takes them; witnesses commit on every node
that lets them, twenty times a second, and note what the standbys have received; others ask /primary ten times a second.
What must not be: two nodes that accept writes at the same time, two that say they are the primary, and an acknowledged
row that a standby had received and that is gone. The exit status is 1 when something was that must not be.
"""


def gathered():
    """Every fault by its name: those of breakages.py, and of the files faults_*.py beside it, each a theme.

    A fault is a function of lab, leader and watch that breaks something and mends it. `needs` of it are arguments of
    the lab that it is tried in; what it answers goes into the row, `also_broken` is a list of what must not be.
    """
    here = pathlib.Path(__file__).parent
    themes = [breakages] + [importlib.import_module(file.stem) for file in sorted(here.glob("faults_*.py"))]
    return {fault.__name__: fault for theme in themes for fault in theme.FAULTS}


FAULTS = gathered()
FAULT_HELP = "\n".join(f"  {name:16}{fault.__doc__}" for name, fault in FAULTS.items())
CHUNK = 5  # rounds that share a lab


def customary_times(ttl, loop_wait=None, retry_timeout=None):
    """Times that go together: loop_wait + 2 * retry_timeout <= ttl."""
    loop_wait = loop_wait or (10 if ttl >= 30 else max(1, ttl // 5))
    retry_timeout = retry_timeout or max(1, min(10, (ttl - loop_wait) // 2))
    return {"ttl": ttl, "loop_wait": loop_wait, "retry_timeout": retry_timeout}


# Labs

class Site:
    """A place for labs: a block of free ports and a directory that no other run uses."""

    def __init__(self, taken):
        for base in range(20300, 32000, 300):
            directory = layout.default_directory(base).parent / f"faults-{base}"
            if base in taken:
                continue
            try:
                self.hold = cluster.locked(directory)
            except Trouble:
                continue
            left = breakages.FaultLab.load(directory)
            if left:  # a run that was killed has left its lab
                left.down()
                breakages.FaultLab.remove(breakages.FaultLab(directory, base, small_disk=True))
            if not any(layout.busy(port) for port, _ in layout.Ports(base).all(4, 3)):
                self.base, self.directory = base, directory
                return
        raise Trouble("there is no free block of ports between 20300 and 32000")

    def lab(self, options, dcs=None, **needs):
        made = breakages.FaultLab(self.directory, self.base, daemon=options.command, dcs=options.times, **needs)
        made.dcs = {**layout.PATRONI_DEFAULTS, **options.times, **(dcs or {})}
        made.mode, made.seed = options.mode, options.seed
        if options.mode:
            made.dcs["synchronous_mode"] = {"on": True, "quorum": "quorum"}[options.mode]
        return made


def subject(options):
    """The words that start the daemon, at a place that the user postgres can read."""
    if options.daemon:
        return cluster.command(options.daemon)
    place = layout.default_directory(None).parent / f"faults-bin-{os.getpid()}"
    options.own_build = place
    return commands.build(place / "matriarch")


# One round

def play(lab, name, number):
    lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)
    with witness.Watch(lab) as watch:
        watch.round = number
        lab.wait("a client that writes", 20, watch.trouble)
        leader, begun = lab.leader(), time.monotonic()
        more = FAULTS[name](lab, leader, watch) or {}
        mended = time.monotonic()
        lab.wait("writes", 60 + 3 * lab.ttl, lambda: watch.silence(mended))
        lab.wait("a healthy cluster", 60 + 3 * lab.ttl, lab.trouble)
        time.sleep(1)
        after = lab.leader()
    row = {"fault": name, "round": number, "leader": [leader, after], **watch.figures(begun), **more}
    if lab.mode:
        row["mode"] = lab.mode
    row["broken"] = breakages.broken_promises(name, row)
    return row


def keep_logs(lab, name, number):
    """Copies what tells of a failed round; where it is."""
    place = commands.REPOSITORY / ".build" / "fault-logs" / f"{name}-ttl{lab.dcs['ttl']}-{number}-{os.getpid()}"
    place.mkdir(parents=True, exist_ok=True)
    for file in [*lab.directory.glob("*.log*"), *lab.directory.glob("*.yml"), *lab.directory.glob("n*/log/*.log*")]:
        shutil.copyfile(file, place / "-".join(file.relative_to(lab.directory).parts))
    return str(place)


def work(tasks, results, taken, options):
    """A worker: chunks of rounds, each in a new lab, until there are no more."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        site = Site(taken)
        while True:
            try:
                name, numbers = tasks.get(timeout=1)
            except queue.Empty:
                break
            chunk(site, name, numbers, results, options)
    except (Trouble, OSError) as trouble:
        results.put({"trouble": str(trouble)})
    finally:
        results.put(None)


def chunk(site, name, numbers, results, options):
    lab = None
    try:
        for number in numbers:
            begun = time.monotonic()
            try:
                if lab is None:
                    lab = site.lab(options, **getattr(FAULTS[name], "needs", {}))
                    lab.up()
                row = play(lab, name, number)
            except Skip as reason:
                results.put({"fault": name, "round": number, "skipped": str(reason)})
                return
            except Exception as error:  # whatever went wrong, the other rounds are worth having
                row = {"fault": name, "round": number, "error": str(error) or repr(error)}
                if not isinstance(error, Trouble):
                    row["error"] += "\n" + traceback.format_exc()
            row["took_s"] = round(time.monotonic() - begun, 1)
            if row.get("broken") or "error" in row:
                row["logs"] = keep_logs(lab, name, number)
            results.put(row)
            if "error" in row:
                lab = end(lab, options)
    finally:
        end(lab, options)


def end(lab, options):
    if lab:
        lab.down()
        if not options.keep:
            lab.remove()


# rounds

def rounds(options):
    wanted = options.only.split(",") if options.only else list(FAULTS)
    unknown = [name for name in wanted if name not in FAULTS]
    if unknown:
        raise Trouble(f"--only: there is no fault '{unknown[0]}'; there are {', '.join(FAULTS)}")
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    # A round of restarts is fifty faults already.
    numbers = {name: [1] if name == "restarts" else list(range(1, options.rounds + 1)) for name in wanted}
    for at in range(0, max(options.rounds, 1), CHUNK):
        for name in wanted:
            if numbers[name][at:at + CHUNK]:
                tasks.put((name, numbers[name][at:at + CHUNK]))
    time.sleep(0.2)  # the queue has a thread that carries what was put
    workers = []
    for _ in range(options.jobs):
        workers.append(multiprocessing.Process(target=work, args=(tasks, results, options.taken, options)))
        workers[-1].start()
        time.sleep(0.5)
    rows, expected = [], sum(len(numbers[name]) for name in wanted)
    try:
        running = len(workers)
        while running:
            row = results.get()
            if row is None:
                running -= 1
            elif "trouble" in row:
                print(f"a worker ended: {row['trouble']}", file=sys.stderr, flush=True)
            else:
                rows.append(row)
                tell(row, len(rows), expected)
                write(options, rows)
    finally:
        for worker in workers:
            worker.join(None if running == 0 else 120)
    return report(options, wanted, numbers, rows)


def tell(row, done, expected):
    if "skipped" in row:
        text = f"skipped: {row['skipped']}"
    elif "error" in row:
        text = f"ERROR: {row['error'].splitlines()[0]}; logs: {row['logs']}"
    else:
        text = (f"{row['leader'][0]} -> {row['leader'][1]}, two primaries {row['two_primaries_s']} s, lost "
                f"{row['lost_received']} received + {row['lost_other']} other of {row['acknowledged']}, "
                f"gap {row['gap_s']} s")
        text += "".join(f", {key} {row[key]}" for key in row if key in (
            "how", "daemon", "postgresql_ended_after_s", "slowest_restart_s", "failed_during"))
        if row["broken"]:
            text += f"; BROKEN: {'; '.join(row['broken'])}; logs: {row['logs']}"
    print(f"{time.monotonic() - commands.STARTED:7.0f} s  {done}/{expected} {row['fault']} "
          f"{row['round']}: {text}", flush=True)


def write(options, rows, summary=None):
    if options.out:
        draft = f"{options.out}.new"
        with open(draft, "w") as file:
            json.dump({"command": sys.argv, "revision": revision(), "daemon": options.command, "dcs": options.times,
                       "summary": summary, "rows": rows}, file, indent=1)
        os.replace(draft, options.out)


def revision():
    done = subprocess.run(["git", "-C", str(commands.REPOSITORY), "rev-parse", "--short", "HEAD"],
                          capture_output=True, text=True)
    return done.stdout.strip() or None


def report(options, wanted, numbers, rows):
    """The table; the exit status."""
    columns = "{:16}{:>7}{:>9}{:>9}{:>9}{:>8}{:>8}{:>8}  {}"
    times = options.times
    print(f"\nttl {times['ttl']} s, loop_wait {times['loop_wait']} s, retry_timeout {times['retry_timeout']} s")
    print(columns.format("", "rounds", "two prim.", "/primary", "lost,", "lost,", "gap", "gap", ""))
    print(columns.format("fault", "", "max s", "twice s", "received", "other", "median", "max", "verdict"))
    bad, summary = False, {}
    for name in wanted:
        mine = [row for row in rows if row["fault"] == name]
        done = [row for row in mine if "gap_s" in row]
        skipped = [row["skipped"] for row in mine if "skipped" in row]
        wrong = verdict(options, name, numbers[name], mine, done, skipped)
        bad = bad or bool(wrong)
        text = f"BROKEN: {'; '.join(wrong)}" if wrong else f"skipped: {skipped[0]}" if skipped else "kept"
        if not done:
            print(columns.format(name, 0, *[""] * 6, text))
            summary[name] = {"rounds": 0, "verdict": text}
            continue
        gaps = [row["gap_s"] for row in done if row["gap_s"] is not None]
        summary[name] = {
            "rounds": len(done), "two_primaries_max_s": max(row["two_primaries_s"] for row in done),
            "primary_twice_max_s": max(row["primary_twice_s"] for row in done),
            "lost_received": sum(row["lost_received"] for row in done),
            "lost_other": sum(row["lost_other"] for row in done),
            "gap_median_s": round(statistics.median(gaps), 3), "gap_max_s": max(gaps), "verdict": text}
        shown = [f"{value:.2f}" if isinstance(value, float) else value for value in list(summary[name].values())[:-1]]
        print(columns.format(name, *shown, text))
    for row in rows:
        if "logs" in row:
            print(f"logs of {row['fault']} {row['round']}: {row['logs']}")
    write(options, rows, summary)
    return 1 if bad else 0


def verdict(options, name, numbers, mine, done, skipped):
    """What was not kept, in words."""
    wrong = [f"round {row['round']}: {text}" for row in done for text in row["broken"]]
    wrong += [f"round {row['round']}: {row['error'].splitlines()[0]}" for row in mine if "error" in row]
    if not skipped and len(mine) < len(numbers):
        wrong.append(f"{len(numbers) - len(mine)} rounds were not run")
    limit = options.times["ttl"] + options.times["loop_wait"]
    if name == "hostloss" and done and statistics.median(row["gap_s"] for row in done) > limit:
        wrong.append(f"the median gap exceeds ttl + loop_wait = {limit} s")
    return wrong


# soak

def soak(options):
    site = Site(options.taken)
    lab = site.lab(options)
    lab.say = commands.say
    row = {"fault": "soak", "round": 1}
    try:
        lab.up()
        commands.say(f"load for {options.minutes} minutes: {load.description(options.load)}")
        with witness.Watch(lab) as watch:
            lab.wait("a client that writes", 20, watch.trouble)
            leader, timeline = lab.leader(), lab.timeline()
            postmaster, begun = lab.postmaster(leader), time.monotonic()
            with load.Load(lab.directory, options.load, options.nice):
                while time.monotonic() < begun + 60 * options.minutes:
                    time.sleep(min(60, max(0.1, begun + 60 * options.minutes - time.monotonic())))
                    commands.say(f"{len(watch.writer.rows)} rows, {watch.writer.failed} failed writes, "
                                 f"longest gap {watch.writer.gap(begun):.2f} s, load {os.getloadavg()[0]:.1f}")
            lab.wait("writes", 30, lambda: watch.silence(begun))
            lab.wait("a healthy cluster", 120, lab.trouble)
            row.update(leader=[leader, lab.leader()], same_postmaster=lab.postmaster(leader) == postmaster,
                       timelines=[timeline, lab.timeline()])
        row.update(watch.figures(begun), minutes=options.minutes)
        row["broken"] = breakages.broken_promises("soak", row)
        if row["leader"][0] != row["leader"][1] or row["timelines"][0] != row["timelines"][1]:
            row["broken"].append(f"a failover: leaders {row['leader']}, timelines {row['timelines']}")
        if row["lost_other"]:
            row["broken"].append(f"{row['lost_other']} acknowledged rows are lost")
        if not row["same_postmaster"]:
            row["broken"].append("PostgreSQL was restarted")
        if row["broken"]:
            row["logs"] = keep_logs(lab, "soak", 1)
    except Trouble:
        print(f"logs: {keep_logs(lab, 'soak', 1)}")
        raise
    finally:
        end(lab, options)
    write(options, [row])
    print(f"soak: {options.minutes} min at ttl {options.times['ttl']}: {row['acknowledged']} rows acknowledged, "
          f"{row['lost_received'] + row['lost_other']} lost, {row['failed_writes']} failed writes, longest gap "
          f"{row['gap_s']} s, two primaries {row['two_primaries_s']} s: " +
          (f"BROKEN: {'; '.join(row['broken'])}; logs: {row['logs']}" if row["broken"] else "no failover, all kept"))
    return 1 if row["broken"] else 0


def parse():
    parser = argparse.ArgumentParser(prog="scripts/faults", description=DESCRIPTION, epilog="faults:\n" + FAULT_HELP,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rounds", "random", "soak"])
    parser.add_argument("--only", metavar="FAULT,...", help="these faults (default: all)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each fault (default 3)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="labs at once; most of a round is waiting")
    parser.add_argument("--ttl", type=int, metavar="S", help="default 30, for soak 5")
    parser.add_argument("--loop-wait", type=int, metavar="S", help="default: 10 at ttl 30, else a fifth of the ttl")
    parser.add_argument("--retry-timeout", type=int, metavar="S", help="default: half of what loop_wait leaves of ttl")
    parser.add_argument("--mode", choices=["on", "quorum"],
                        help="rounds in this synchronous mode, in which no acknowledged row may be lost at all")
    parser.add_argument("--seed", type=int, metavar="N", help="of the lots of 'kills' and 'draws' (default: any; it is printed)")
    parser.add_argument("--minutes", type=float, default=60, metavar="M", help="of the soak (default 60)")
    parser.add_argument("--load", type=int, metavar="N", default=2 * (os.cpu_count() or 1),
                        help="of the soak: processes that compute; half as many write to disk (default %(default)s)")
    parser.add_argument("--nice", type=int, default=0, help="of the soak's load (default 0)")
    parser.add_argument("--daemon", metavar="COMMAND", help="run this instead of the daemon built from this tree")
    parser.add_argument("--out", metavar="FILE.json", help="write all figures there")
    parser.add_argument("--keep", action="store_true", help="leave the labs' directories")
    return parser.parse_args()


def main():
    options = parse()
    options.own_build, options.taken = None, set()
    options.seed = int(time.time()) % 1_000_000 if options.seed is None else options.seed
    if options.mode and not options.only:
        options.only = "kills"
    if options.what == "random":
        options.only = "draws"
    if {"kills", "draws"} & set((options.only or "kills").split(",")):
        print(f"seed {options.seed}", flush=True)
    options.times = customary_times(options.ttl or (5 if options.what == "soak" else 30), options.loop_wait,
                                    options.retry_timeout)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        commands.setup(["lab"] + ([] if options.daemon else ["build"]))
        options.command = subject(options)
        return {"rounds": rounds, "random": rounds, "soak": soak}[options.what](options)
    except Trouble as trouble:
        print(f"scripts/faults: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if options.own_build:
            shutil.rmtree(options.own_build, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
