"""Measures how long matriarchctl takes until its first output on a local cluster, beside patronictl from PyPI."""
import os
import resource
from statistics import median
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import contest  # noqa: E402
import lab as commands  # noqa: E402
import layout  # noqa: E402

PORT_BASE = 30900
COMMANDS = [["list"], ["list", "-f", "json"], ["topology"], ["show-config"], ["version"]]
LIMIT = 0.030  # seconds to the first output of list, as the median


def once(words):
    """Seconds to the first byte of output, seconds to the end, and seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = process.stdout.read(1)
    heard = time.perf_counter() - begun
    process.communicate()
    if process.returncode != 0 or not first:
        raise cluster.Trouble(f"{' '.join(words)} says nothing, exit code {process.returncode}")
    whole = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return heard, whole, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(options):
    home = layout.default_directory(PORT_BASE).parent
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    with tempfile.TemporaryDirectory(dir=home) as text:
        place = layout.pathlib.Path(text)
        os.chmod(place, 0o755)
        daemon = contest.daemons(options, ["lab"])
        tool = options.tool or str(place / "bin" / "matriarchctl")
        tools = {"matriarchctl": (tool, options.runs)}
        if options.peer:
            tools["patronictl"] = (daemon["peer"](place)[0] + "ctl", max(3, options.runs // 10))
        if not options.tool:
            commands.build(place / "bin" / "matriarchctl", ["matriarchctl"])
        lab = cluster.Lab(f"{place}/lab", PORT_BASE, daemon=daemon["subject"](place))
        try:
            lab.up()
            time.sleep(lab.dcs["loop_wait"])
            found = {}
            for name, (program, runs) in tools.items():
                for command in COMMANDS:
                    words = [program, "-c", str(lab.directory / "n1.yml"), *command]
                    once(words)  # what the kernel has to read is read
                    rows = [sorted(row) for row in zip(*[once(words) for _ in range(runs)])]
                    found.setdefault(name, {})[" ".join(command)] = {
                        "runs": runs, "first": rows[0], "whole": rows[1], "processor": rows[2]}
            return found
        finally:
            lab.down()


def report(found):
    """The median counts, as whoever waits for the tool has it; the least tells what other programs added to it."""
    print(f"{'ms':14}{'':14}{'first output':>33}{'to the end':>12}{'processor':>11}")
    print(f"{'tool':14}{'command':14}{'least':>11}{'median':>11}{'most':>11}{'median':>12}{'median':>11}")
    for name, rows in found.items():
        for command, row in rows.items():
            cells = [row["first"][0], median(row["first"]), row["first"][-1], median(row["whole"]),
                     median(row["processor"])]
            print(f"{name:14}{command:14}" + "".join(f"{1000 * cell:{width}.1f}"
                                                     for cell, width in zip(cells, (11, 11, 11, 12, 11))))
    ours = median(found["matriarchctl"]["list"]["first"])
    print(f"matriarchctl list: {1000 * ours:.1f} ms to its first output in the median, "
          f"the limit is {1000 * LIMIT:.0f} ms: " + ("kept" if ours <= LIMIT else "NOT KEPT"))
    if "patronictl" in found:
        theirs = median(found["patronictl"]["list"]["first"])
        print(f"patronictl list: {1000 * theirs:.1f} ms, {theirs / ours:.0f} times as long")


def main():
    parser = contest.parser("scripts/bench ctl", __doc__)
    parser.add_argument("--runs", type=int, default=50, metavar="N", help="how often each command runs (default 50)")
    parser.add_argument("--tool", metavar="PROGRAM", help="measure this instead of the tool built from this tree")
    parser.add_argument("--alone", action="store_true", help="do not measure patronictl beside it")
    options = parser.parse_args()
    options.peer = not options.alone
    return contest.run(options, measure, report)


if __name__ == "__main__":
    sys.exit(main())
