"""Who takes part in a measurement, and how it begins and ends: what scripts/bench and scripts/bench rest share."""
import argparse
import json
import subprocess
import sys

import cluster
import lab as commands
from processes import Trouble


def parser(program, description):
    """The options of every measurement."""
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument("--peer", action="store_true", help="measure Patroni from PyPI, too, and print ratios")
    made.add_argument("--daemon", metavar="COMMAND", help="measure this instead of the daemon built from this tree")
    made.add_argument("--json", metavar="FILE", help="write all figures there")
    return made


def daemons(options, groups):
    """Installs what the measurement needs; gives {name: directory -> command} of who is measured."""
    commands.setup(groups + ([] if options.daemon else ["build"]))
    found = {"subject": (lambda d: cluster.command(options.daemon)) if options.daemon else (
        lambda d: commands.build(d / "bin" / "matriarch"))}
    if options.peer:
        place = subprocess.run([str(commands.REPOSITORY / "scripts" / "setup"), "peer"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.strip()
        found["peer"] = lambda d: [f"{place}/bin/patroni"]
    return found


def run(options, measure, report):
    """The exit code; `measure` gives the figures, which are kept before `report` prints them."""
    try:
        found = measure(options)
        if options.json:
            with open(options.json, "w") as file:
                json.dump(found, file, indent=1)
        report(found)
    except Trouble as trouble:
        print(f"scripts/bench: {trouble}", file=sys.stderr)
        return 1
    return 0
