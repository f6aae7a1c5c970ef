"""What a fault is measured by: a client that writes, and witnesses that look at every node ten times a second or more.

All times are time.monotonic() of this process. A WAL position is a number of bytes.
"""
import collections
import threading
import time

import psycopg2

import cluster

# A longer silence between two acknowledgements ends a span in which a node is counted as one that accepts writes.
LONGEST_PAUSE = 1.0
# A server that starts is not to be kept from it by connections that it has to refuse.
PAUSE_AFTER_FAILURE = 0.1
TABLES = ("CREATE TABLE IF NOT EXISTS probe(id bigint, at timestamptz DEFAULT clock_timestamp());"
          "CREATE TABLE IF NOT EXISTS witness(node text, at timestamptz DEFAULT clock_timestamp());"
          "TRUNCATE probe, witness")

Row = collections.namedtuple("Row", "id at node timeline position")


def connect(lab, names, more=""):
    """A session in autocommit mode with the first of the nodes that fits."""
    target = (f"host={','.join(['127.0.0.1'] * len(names))} "
              f"port={','.join(str(lab.ports.postgresql(lab.number(name))) for name in names)} "
              f"user=postgres dbname=postgres password={lab.password} connect_timeout=2 tcp_user_timeout=1000 "
              f"options='-c statement_timeout=2s -c client_min_messages=warning' {more}")
    session = psycopg2.connect(target)
    session.autocommit = True
    return session


def one(session, statement, *values):
    """The first row that a statement returns; None where it returns none."""
    with session.cursor() as cursor:
        del session.notices[:]
        cursor.execute(statement, values or None)
        # Whoever stops waiting for a synchronous standby is told of success, and of this: it is no acknowledgement.
        if any("synchronous replication" in notice for notice in session.notices):
            raise psycopg2.OperationalError(session.notices[-1])
        return cursor.fetchone() if cursor.description else None


def bytes_of(position):
    """0/16B3740 as a number; None stays None."""
    if position is None:
        return None
    high, low = position.split("/")
    return int(high, 16) << 32 | int(low, 16)


class Thread(threading.Thread):
    """Calls `turn` every so often until it is stopped; what goes wrong there ends the session, not the thread."""
    every = 0.05

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.session, self._ended = lab, None, threading.Event()

    def run(self):
        while not self._ended.is_set():
            begun, pause = time.monotonic(), self.every
            try:
                self.turn()
            except Exception:  # a server that goes away may fail in any way; the next turn begins anew
                self.close()
                pause = max(pause, PAUSE_AFTER_FAILURE)
            self._ended.wait(max(0.001, begun + pause - time.monotonic()))
        self.close()

    def close(self):
        if self.session:
            try:
                self.session.close()
            except psycopg2.Error:
                pass
        self.session = None

    def end(self):
        self._ended.set()

    def stop(self):
        self.end()
        self.join(20)


class Writer(Thread):
    """Commits one row after another on whichever node takes writes, and keeps what was acknowledged."""
    every = 0.01

    def __init__(self, lab):
        super().__init__(lab)
        self.rows, self.failed, self.node, self._next = [], 0, None, 0

    def turn(self):
        if self.session is None:
            self.session = connect(self.lab, self.lab.node_names(), "target_session_attrs=read-write")
            port = self.session.info.port
            self.node = next(n for n in self.lab.node_names() if self.lab.ports.postgresql(self.lab.number(n)) == port)
        self._next += 1
        try:
            one(self.session, "INSERT INTO probe(id) VALUES (%s)", self._next)
        except Exception:
            self.failed += 1
            raise
        at = time.monotonic()
        self.rows.append(Row(self._next, at, self.node, None, None))
        # The commit lies before this position, which is what makes "received" certain below.
        position, segment = one(self.session, "SELECT w, pg_walfile_name(w) FROM pg_current_wal_lsn() AS w")
        self.rows[-1] = Row(self._next, at, self.node, int(segment[:8], 16), bytes_of(position))

    def last(self): return self.rows[-1].at if self.rows else 0

    def gap(self, since):
        """The longest time between two acknowledgements of which the second came after `since`."""
        times = [row.at for row in self.rows]
        return max((b - a for a, b in zip(times, times[1:]) if b >= since), default=None)


class Witness(Thread):
    """Commits on one node whenever that node is not in recovery, and notes what a standby there has received."""

    def __init__(self, lab, name):
        super().__init__(lab)
        self.name_of_node, self.accepted, self.received = name, [], []

    def turn(self):
        if self.session is None:
            self.session = connect(self.lab, [self.name_of_node])
        standby, timeline, position = one(
            self.session, "SELECT pg_is_in_recovery(), (SELECT received_tli FROM pg_stat_wal_receiver), "
            "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END")
        if not standby:
            one(self.session, "INSERT INTO witness(node) VALUES (%s)", self.name_of_node)
            self.accepted.append(time.monotonic())
        elif position and timeline:
            self.received.append((time.monotonic(), timeline, bytes_of(position)))


class Health(Thread):
    """Asks one node whether it is the primary, as a load balancer does."""
    every = 0.1

    def __init__(self, lab, name):
        super().__init__(lab)
        self.accepted, self._url = [], lab.rest(name, "/primary")

    def turn(self):
        if cluster.http("GET", self._url, timeout=1)[0] == 200:
            self.accepted.append(time.monotonic())


def spans(times):
    """[first, last] of each run of instants without a long pause."""
    found = []
    for at in times:
        if found and at - found[-1][1] <= LONGEST_PAUSE:
            found[-1][1] = at
        else:
            found.append([at, at])
    return found


def overlap(several):
    """For how many seconds two of them said yes: several lists of instants, one for each node.

    A single yes in the other's span has no length, but must not go unseen: it counts as a millisecond.
    """
    total, lists = 0.0, [spans(times) for times in several]
    for i, mine in enumerate(lists):
        for theirs in lists[i + 1:]:
            common = [min(a[1], b[1]) - max(a[0], b[0]) for a in mine for b in theirs]
            total += sum(max(0.001, length) for length in common if length >= 0)
    return total


class Watch:
    """The writer and all witnesses of one round."""

    def __init__(self, lab):
        self.lab = lab
        self.writer = Writer(lab)
        self.witnesses = {name: Witness(lab, name) for name in lab.node_names()}
        self.health = {name: Health(lab, name) for name in lab.node_names()}

    def __enter__(self):
        session = connect(self.lab, self.lab.node_names(), "target_session_attrs=read-write")
        one(session, TABLES)
        session.close()
        for thread in self._all():
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self._all():
            thread.end()
        for thread in self._all():
            thread.stop()

    def _all(self): return [self.writer, *self.witnesses.values(), *self.health.values()]

    def trouble(self):
        """What is missing for a round to begin."""
        if len(self.writer.rows) < 100:
            return "the writer has no rows yet"
        if sum(bool(w.received) for w in self.witnesses.values()) < self.lab.nodes - 1:
            return "not all standbys receive"
        return None

    def silence(self, since):
        """Whether the writer has yet to get going again after `since`."""
        now = time.monotonic()
        return None if self.writer.last() > since and now - self.writer.last() < 0.5 else "nobody writes"

    def figures(self, since):
        """The round's figures; call it when the threads have ended."""
        missing = self._missing()
        received = [row for row in missing if self._was_received(row)]
        gap = self.writer.gap(since)
        return {
            "two_primaries_s": round(overlap([self._commits(name) for name in self.witnesses]), 3),
            "primary_twice_s": round(overlap([h.accepted for h in self.health.values()]), 3),
            "lost_received": len(received), "lost_other": len(missing) - len(received),
            "gap_s": None if gap is None else round(gap, 3),
            "acknowledged": len(self.writer.rows), "failed_writes": self.writer.failed}

    def _commits(self, name):
        """When a node acknowledged a commit, to its witness or to the writer."""
        return sorted(self.witnesses[name].accepted + [row.at for row in self.writer.rows if row.node == name])

    def _missing(self):
        """The acknowledged rows that the present primary does not have."""
        session = connect(self.lab, self.lab.node_names(), "target_session_attrs=read-write")
        with session.cursor() as cursor:
            cursor.execute("SELECT id FROM probe")
            present = {row[0] for row in cursor.fetchall()}
        session.close()
        return [row for row in self.writer.rows if row.id not in present]

    def _was_received(self, row):
        """Whether a standby had a row before another node began to accept writes."""
        if row.position is None:
            return False
        others = [span for name, witness in self.witnesses.items() if name != row.node
                  for span in spans(witness.accepted)]
        until = min((first for first, last in others if last > row.at), default=float("inf"))
        # The next primary writes over the same positions on a timeline of its own.
        return any(at < until and timeline == row.timeline and position >= row.position
                   for name, witness in self.witnesses.items() if name != row.node
                   for at, timeline, position in witness.received)
