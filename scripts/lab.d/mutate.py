"""The command of scripts/mutate."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DESCRIPTION = """\
Makes one build of a copy of the tree in which every condition, every decision that is returned and every statement with
an effect, of HighAvailability, Node, the lease's arithmetic and the guardian's deadline, can be switched: to its
opposite, to waiting, to nothing; and lists that are put together are put together in the other order.
Then it runs the rules' tables and the cycle's tests against each mutant, and worlds of the simulation against those that
these let live. A survivor is either killed by a new row, checker or temper, or stands in docs/simulation.md with the
reason why it changes nothing.

The copy is .build-mutation/tree; a second run builds only what has changed.
"""
# What is mutated, and who can notice it: the nearest first, as most mutants end there.
TESTS = {
    "Sources/HighAvailability": ["HighAvailabilityTests", "NodeTests"],
    "Sources/Node": ["NodeTests"],
    "Sources/Guardian": ["GuardianTests\\.(?!.*Server)"],
    "Sources/ClusterModel/Lease": ["ClusterModelTests\\.(?!LargeObject)", "HighAvailabilityTests", "NodeTests"],
}
# What the copy has: tests read more than the sources.
FILES = ["Package.swift", "Sources", "Tests", "packaging", "compose.yaml", "compose.small.yaml"]
# The only targets of tests that the copy has: the others take minutes to build.
TARGETS = ["HighAvailabilityTests", "NodeTests", "GuardianTests", "ClusterModelTests"]
# A test that fails, as swift-testing tells of it.
FAILED = re.compile(r"Test (\S+)\(.*recorded an issue")
# A world that breaks, as the simulation does.
BROKEN = re.compile(r"(simulate: )?seed \d+: ")
# What a survivor may be without a word: a line of the log is no behaviour.
LOGGING = ("run.log(",)
# Each mutant's worlds run in one thread: the simulation is faster where it may take that for granted.
SINGLE = ["-Xswiftc", "-assume-single-threaded", "-Xswiftc", "-enforce-exclusivity=unchecked"]


class Trouble(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(argv, **options):
    done = subprocess.run(argv, **options)
    if done.returncode != 0:
        raise Trouble(f"failed: {' '.join(map(str, argv))}")
    return done


def refresh(copy):
    """The copy has the files of the tree; those that have not changed keep their time, so that little is built again."""
    staged = copy.parent / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for name in FILES:
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, staged / name)
    manifest = staged / "Package.swift"
    manifest.write_text(without_other_tests(manifest.read_text()))
    return staged


def without_other_tests(manifest):
    """An entry of a test target is a call of `tests` in eight columns, up to the one that closes it."""
    entry = re.compile(r'^        tests\(\s*"(\w+)".*?\),?$\n(?=^(?:        \S|    \]))', re.MULTILINE | re.DOTALL)
    return entry.sub(lambda found: found[0] if found[1] in TARGETS else "", manifest)


def settle(staged, copy):
    for file in [path for path in staged.rglob("*") if path.is_file()]:
        target = copy / file.relative_to(staged)
        if not target.exists() or target.read_bytes() != file.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            shutil.copymode(file, target)
    for file in [path for top in ["Sources", "Tests", "packaging"] for path in (copy / top).rglob("*") if path.is_file()]:
        if not (staged / file.relative_to(copy)).exists():
            file.unlink()
    shutil.rmtree(staged)


def build(place):
    say("building the rewriter")
    rewriter = ["swift", "build", "--package-path", REPOSITORY / "Mutation", "--scratch-path", place / "rewriter"]
    run(rewriter, stdout=sys.stderr)
    binary = run([*rewriter, "--show-bin-path"], capture_output=True, text=True).stdout.strip()
    copy = place / "tree"
    staged = refresh(copy)
    table = run([f"{binary}/mutate", staged, *TESTS], capture_output=True, text=True).stdout
    settle(staged, copy)
    say("building the mutants: tests, and the simulation in release")
    run(["swift", "build", "--package-path", copy, "--product", "matriarchPackageTests"],
        stdout=sys.stderr)
    run(["swift", "build", "--package-path", copy, "-c", "release", "--product", "simulate", *SINGLE],
        stdout=sys.stderr)
    release = run(["swift", "build", "--package-path", copy, "-c", "release", "--show-bin-path"], capture_output=True,
                  text=True).stdout.strip()
    fields = ["number", "file", "line", "kind", "text"]
    mutants = [dict(zip(fields, row.split("\t"))) for row in table.splitlines()]
    return copy, f"{release}/simulate", mutants


def passes(argv, mutant, seconds):
    """Whether nobody notices. What came too late, and one test alone, may be the machine's fault: once more."""
    passed, is_certain = attempt(argv, mutant, seconds)
    return passed if is_certain else attempt(argv, mutant, seconds)[0]


def attempt(argv, mutant, seconds):
    """Whether it passed, and whether that is certain: a world that breaks breaks again, and two tests are enough."""
    environment = {**os.environ, "MATRIARCH_MUTANT": str(mutant)}
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True)
    patience = threading.Timer(seconds, os.killpg, (process.pid, 9))  # what never ends is noticed, too
    patience.start()
    failed, broken = set(), False
    for line in process.stdout:
        broken = broken or BROKEN.match(line) is not None
        failed |= set(FAILED.findall(line))
        if broken or len(failed) > 1:
            os.killpg(process.pid, 9)
            break
    process.stdout.close()
    passed = process.wait() == 0
    patience.cancel()
    return passed, passed or broken or len(failed) > 1


def bundle(copy):
    return [next((copy / ".build" / "debug").glob("*.xctest"))]


def tests_of(mutant):
    return next(tests for directory, tests in TESTS.items() if mutant["file"].startswith(f"{directory}/"))


def judge(mutant, copy, simulate, options):
    """By whom the mutant is killed; None for a survivor."""
    number = mutant["number"]
    for tests in tests_of(mutant):
        # The bundle itself: `swift test` lets one run at a time in a package.
        if not passes([*bundle(copy), "--filter", tests, "--testing-library", "swift-testing"], number,
                      options.patience):
            return "tests"
    worlds = [simulate, "--seeds", str(options.worlds), "--profile", "all", "--jobs", "1"]
    if options.worlds and not passes(worlds, number, 10 * options.patience):
        return "worlds"
    return None


def chosen(mutants, options):
    found = [m for m in mutants if not m["text"].startswith(LOGGING)]
    if options.only:
        found = [m for m in found if options.only in f"{m['file']}:{m['line']}" or options.only == m["number"]]
    if options.sample:
        found = random.Random(options.seed).sample(found, min(options.sample, len(found)))
    return found[options.part - 1::options.parts]


def parse():
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000, metavar="N",
                        help="worlds against each mutant that the tests let live (default 2000, 0 for none)")
    parser.add_argument("--only", metavar="TEXT", help="mutants whose FILE:LINE contains it, or that have this number")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at once (default: cores)")
    parser.add_argument("--part", type=int, default=1, metavar="K", help="the K-th of --parts, to share the work")
    parser.add_argument("--parts", type=int, default=1, metavar="N")
    parser.add_argument("--sample", type=int, metavar="N", help="only N of them, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the sample (default 1)")
    parser.add_argument("--patience", type=float, default=60, metavar="SECONDS",
                        help="for the tests, and ten times that for the worlds (default 60)")
    parser.add_argument("--minimum", type=float, default=95, metavar="PERCENT",
                        help="fewer killed is a failure (default 95)")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--out", metavar="FILE.json", help="write every mutant and its end there")
    return parser.parse_args()


def main():
    options = parse()
    try:
        place = REPOSITORY / ".build-mutation"
        place.mkdir(exist_ok=True)
        copy, simulate, mutants = build(place)
        wanted = chosen(mutants, options)
        if options.list:
            for mutant in wanted:
                print("\t".join(mutant.values()))
            return 0
        for directory in TESTS:
            if judge({"number": "0", "file": f"{directory}/"}, copy, simulate, options):
                raise Trouble(f"the tests of {directory} fail without any mutant")
        return report(options, wanted, copy, simulate)
    except Trouble as trouble:
        say(f"scripts/mutate: {trouble}")
        return 1


def report(options, wanted, copy, simulate):
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(judge, mutant, copy, simulate, options): mutant for mutant in wanted}
        for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
            mutant = futures[future]
            mutant["killed_by"] = future.result()
            if mutant["killed_by"] is None:
                print(f"survives: {mutant['number']} {mutant['file']}:{mutant['line']} {mutant['kind']}: "
                      f"{mutant['text']}", flush=True)
            if done % 100 == 0:
                say(f"{time.monotonic() - begun:6.0f} s  {done} of {len(wanted)}")
    survivors = [mutant for mutant in wanted if mutant["killed_by"] is None]
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(wanted, indent=1))
    killed = len(wanted) - len(survivors)
    share = 100 * killed / max(1, len(wanted))
    by = {name: sum(m["killed_by"] == name for m in wanted) for name in ["tests", "worlds"]}
    print(f"{len(wanted)} mutants, {killed} killed ({share:.1f} %): {by['tests']} by tests, {by['worlds']} by worlds; "
          f"{len(survivors)} survive ({time.monotonic() - begun:.0f} s)")
    return 0 if share >= options.minimum else 1


if __name__ == "__main__":
    sys.exit(main())
