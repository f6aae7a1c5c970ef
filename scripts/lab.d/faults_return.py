"""Faults of primaries that part and come back, with a tablespace and with WAL outside the data directory."""
import os
import re

import faults_directory
import faults_rejoin
import witness
from breakages import bring_back


def write(lab, name, text):
    """Changes rows of the tablespace, and makes files in it."""
    source = witness.connect(lab, [name])
    witness.one(source, "SET statement_timeout = 0")
    witness.one(source, "UPDATE kept SET b = %s WHERE a %% 7 = 0", text)
    witness.one(source, f"DROP TABLE IF EXISTS {text}")
    witness.one(source, f"CREATE TABLE {text} TABLESPACE outside AS SELECT a FROM generate_series(1, 20000) AS a")
    return source


def forget_wal(lab, name, first):
    """Of the WAL what lies before a checkpoint is gone: the server can start, and where it parted cannot be read."""
    for file in os.listdir(lab.wal(name)):
        if re.fullmatch("[0-9A-F]{24}", file) and file < first:
            (lab.wal(name) / file).unlink()


def misplaced(lab):
    """Nodes whose WAL or tablespace is not where it was, in words."""
    broken = []
    for name in lab.node_names():
        links = {lab.data(name) / "pg_wal": lab.wal(name)}
        links |= {link: lab.tablespace(name) for link in (lab.data(name) / "pg_tblspc").iterdir()}
        broken += [f"{name}: {link} is not {place}" for link, place in links.items()
                   if not link.is_symlink() or os.readlink(link) != str(place)]
    return broken


def rejoin(lab, leader, watch):
    """a leader parts and comes back, with a tablespace and WAL apart: rewound, and copied in every third round"""
    faults_directory.prepare(lab, leader)
    is_copied, first = watch.round % 3 == 0, []

    def more():
        source = write(lab, leader, "parted")
        if is_copied:
            witness.one(source, "SELECT pg_switch_wal()")
            witness.one(source, "CHECKPOINT")
            first.extend(witness.one(source, "SELECT pg_walfile_name(redo_lsn) FROM pg_control_checkpoint()"))

    led = faults_rejoin.part(lab, leader, more)
    write(lab, led, "went_on")
    if is_copied:
        forget_wal(lab, leader, first[0])
    before = lab.log(leader).stat().st_size
    bring_back(lab, leader)
    lab.wait("a healthy cluster", 90 + 3 * lab.ttl, lab.trouble)
    said = lab.log(leader).read_bytes()[before:].decode(errors="replace")
    tried, copied = "running pg_rewind from" in said, re.search("base backup from .* is complete", said)
    how = "copied" if copied else "rewound" if tried else "neither"
    broken = [] if tried else ["pg_rewind was not tried"]
    if bool(copied) != is_copied:
        broken.append(f"{leader} was {how}")
    return {"how": how, "also_broken": broken + misplaced(lab) + faults_rejoin.different(lab)
            + faults_directory.missing_rows(lab, lab.leader())}


rejoin.needs = {"tablespaces": True, "wal_apart": True}
FAULTS = [rejoin]
