"""The command of scripts/check-compose: compose.yaml against its schema, and its services without an engine."""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import jsonschema
import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import layout  # noqa: E402
import processes  # noqa: E402
from lab import REPOSITORY  # noqa: E402
from processes import Trouble  # noqa: E402

FILES = ["compose.yaml", "compose.small.yaml"]
DESCRIPTION = """\
Checks compose.yaml and compose.small.yaml against the schema of Compose, and runs their services as they stand, by the
images' own entry script and with the variables of the file, on addresses of their own in 127.0.0.0/8: three etcd, three
nodes and HAProxy, then one etcd and two nodes. They become healthy by the health checks of the file, take writes, switch
over by the demo, and have their rows still when they are stopped and started again.
"""


def services(document):
    """The services with the merge keys of YAML applied; each health check is in the form [CMD, word, ...]."""
    for name, service in document["services"].items():
        check = service.get("healthcheck", {}).get("test")
        if check and check[0] != "CMD":
            raise Trouble(f"services.{name}.healthcheck.test must begin with CMD: no shell is promised")
    return document["services"]


def check_schema(file, document, schema):
    errors = sorted(jsonschema.Draft7Validator(json.loads(pathlib.Path(schema).read_text())).iter_errors(document),
                    key=lambda error: list(map(str, error.path)))
    if errors:
        raise Trouble(f"{file}: " + "\n".join(
            f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors))
    named = set(document.get("volumes", {}))
    used = {volume.split(":")[0] for service in document["services"].values() for volume in service.get("volumes", [])}
    if named != used:
        raise Trouble(f"{file}: volumes named {sorted(named)}, used {sorted(used)}")


class Rehearsal:
    """The services of compose.yaml as processes: each container's name is an address of loopback, and each volume a
    directory."""

    def __init__(self, wanted, programs, directory):
        self.services, self.programs, self.directory = wanted, programs, directory
        # Those of a profile are started by name.
        self.lasting = {name: service for name, service in wanted.items() if "profiles" not in service}
        # Two runs at once have different addresses but in one of 60,000 cases, when the second one says what is taken.
        net = f"127.{random.randint(64, 254)}.{random.randint(1, 254)}"
        self.address = {name: f"{net}.{i}" for i, name in enumerate(wanted, 1)}
        self.running = {}

    def here(self, name, text):
        """`text` of the service `name` with the addresses and directories of this rehearsal."""
        for host, address in self.address.items():
            text = re.sub(rf"(?<![\w./-]){host}(?=:\d)|(?<=//){host}(?=:\d)", address, text)
        text = re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1)(?=:\d)", self.address[name], text)
        for volume in self.services[name].get("volumes", []):
            source, target = volume.split(":")[:2]
            text = re.sub(rf"^{re.escape(target)}(?=/|$)", str(self.directory / "volumes" / source), text)
        return text

    def environment(self, name):
        found = {key: self.here(name, str(value)) for key, value in self.services[name].get("environment", {}).items()}
        part = self.directory / name
        found |= {
            processes.MARK: str(self.directory), "PATH": f"{self.programs}:{os.environ['PATH']}",
            "MATRIARCH_CONFIG": str(part / "matriarch.yml"), "TMPDIR": str(part),
            # The volume of an image is at a place of its own; here it is a directory.
            "ETCD_DATA_DIR": self.here(name, "/var/lib/etcd"), "HAPROXY_CONFIG": str(part / "haproxy.cfg"),
            "MATRIARCH_RUN_DIR": str(part)}
        return found

    def prepare(self):
        user = processes.run_as()
        for name in self.services:
            (self.directory / name).mkdir(parents=True)
            for volume in self.services[name].get("volumes", []):
                (self.directory / "volumes" / volume.split(":")[0]).mkdir(parents=True, mode=0o700)
        shutil.copy(REPOSITORY / "packaging/container/entrypoint", self.directory / "entrypoint")
        # A container has a /run of its own, too.
        text = (REPOSITORY / "packaging/container/matriarch.yml").read_text()
        for name in self.services:
            file = self.directory / name / "matriarch.yml"
            file.write_text(text.replace("/var/run/postgresql", str(self.directory / name)))
        if user:
            for path in [self.directory, *self.directory.rglob("*")]:
                os.chown(path, user.pw_uid, user.pw_gid)

    def start(self, name):
        command = self.services[name].get("command") or {"e": "etcd", "h": "haproxy", "n": "node"}[name[0]]
        self.running[name] = processes.spawn(
            [str(self.directory / "entrypoint"), command], self.directory / f"{name}.log", self.directory / name,
            self.environment(name))

    def is_healthy(self, name):
        check = self.services[name].get("healthcheck", {}).get("test", ["CMD", "true"])[1:]
        return subprocess.run([self.here(name, word) for word in check], capture_output=True).returncode == 0

    def wait(self, what, seconds, missing):
        until = time.monotonic() + seconds
        while True:
            left = missing()
            if not left:
                return print(f"{what}: yes", flush=True)
            dead = [name for name, identity in self.running.items() if not processes.alive(*identity)]
            if dead or time.monotonic() > until:
                raise Trouble(f"{what}: no, {left} (ended: {', '.join(dead) or 'none'})\n{self.tails()}")
            time.sleep(0.2)

    def tails(self):
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                         for log in sorted(self.directory.glob("*.log")))

    def up(self):
        """In the order of depends_on, as the engine does it."""
        waiting = dict(self.lasting)
        while waiting:
            ready = [name for name, service in waiting.items()
                     if not set(service.get("depends_on", [])) & set(waiting)]
            for name in ready:
                self.start(name)
                del waiting[name]
            sick = lambda: ", ".join(name for name in ready if not self.is_healthy(name))  # noqa: E731
            self.wait(f"healthy: {', '.join(ready)}", 120, sick)

    def members(self):
        return cluster.http_json(f"http://{self.address['n1']}:8008/cluster").get("members", [])

    def leader(self):
        return next((member["name"] for member in self.members() if member["role"] == "leader"), None)

    def streaming(self):
        return {member["name"] for member in self.members() if member["state"] == "streaming"}

    def psql(self, text, writes=True):
        """Through HAProxy, or at the nodes where there is none."""
        if "haproxy" in self.services:
            host, port = self.address["haproxy"], 5000 if writes else 5001
        else:
            leader = self.leader()
            node = next((name for name in self.nodes if (name == leader) == writes), None)
            if not node:
                return None
            host, port = self.address[node], 5432
        environment = {**os.environ, "PGPASSWORD": "postgres", "PGCONNECT_TIMEOUT": "3"}
        done = subprocess.run(["psql", "-h", host, "-p", str(port), "-U", "postgres", "-Atqc", text],
                              env=environment, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    @property
    def nodes(self):
        return [name for name in self.lasting if name.startswith("n")]

    def whole(self):
        """Nothing where one leads and the others stream; else what is seen."""
        return None if self.leader() and self.streaming() == set(self.nodes) - {self.leader()} else self.members() or "none"

    def rows(self, number):
        """Nothing where that many rows are read where reads are taken."""
        found = self.psql("select count(*) from seen", writes=False)
        return None if found == str(number) else f"{found} rows"

    def demo(self):
        """As `docker compose run --rm demo`, on a terminal of nobody's."""
        log, name = self.directory / "demo.log", "demo"
        pid, started = processes.spawn([str(self.directory / "entrypoint"), self.services[name]["command"]], log,
                                       self.directory / name, self.environment(name))
        self.wait("the demo ends", 120, lambda: "not yet" if processes.alive(pid, started) else None)
        said = log.read_text()
        print(said, end="", flush=True)
        if said.count("A row is written after") != 2 or "Successfully switched over to" not in said:
            raise Trouble(f"the demo did not come to its end\n{self.tails()}")

    def play(self):
        self.up()
        self.wait("one node leads, the others stream", 60, self.whole)
        write = "create table if not exists seen(at timestamptz); insert into seen values (now()) returning 'written'"
        self.wait("a row written", 30, lambda: None if self.psql(write) == "written" else "none")
        self.wait("the row read", 30, lambda: self.rows(1))
        former = self.leader()
        self.demo()
        self.wait("another one leads, the others stream", 60,
                  lambda: self.whole() or (None if self.leader() != former else f"{former} leads"))
        candidate = min(self.streaming())
        request = urlopen_json(f"http://{self.address[self.leader()]}:8008/switchover",
                               {"leader": self.leader(), "candidate": candidate}, "admin", "admin")
        print(f"switchover to {candidate} over REST: {request}", flush=True)
        self.wait(f"{candidate} leads, the others stream", 60,
                  lambda: self.whole() or (None if self.leader() == candidate else f"{self.leader()} leads"))
        self.wait("another row written", 30, lambda: None if self.psql(write) == "written" else "none")
        self.down()
        self.up()
        self.wait("stopped and started again: one node leads, the others stream", 60, self.whole)
        self.wait("the rows of before read", 30, lambda: self.rows(2))

    def down(self):
        for name in reversed(list(self.running)):
            processes.end(*self.running.pop(name), [(15, 30), (9, 5)])
        for pid in processes.marked(str(self.directory)):
            processes.end(pid, processes.start_time(pid), [(15, 2), (9, 5)])


def urlopen_json(url, body, user, password):
    done = subprocess.run(["curl", "-sS", "-m", "60", "-u", f"{user}:{password}", "-XPOST", url, "-d", json.dumps(body)],
                          capture_output=True, text=True)
    return (done.stdout or done.stderr).strip()


def rehearse(document, built):
    place = layout.default_directory(None).parent
    place.mkdir(parents=True, exist_ok=True, mode=0o755)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="compose-", dir=place))
    try:
        directory.chmod(0o755)
        programs = directory / "programs"
        programs.mkdir()
        for name in ["matriarch", "matriarch-guardian", "matriarchctl"]:
            shutil.copy(built / name, programs / name)
        rehearsal = Rehearsal(services(document), programs, directory)
        rehearsal.prepare()
        try:
            rehearsal.play()
        finally:
            rehearsal.down()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/check-compose", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--daemon", metavar="FILE", help="the daemon, its guardian beside it (default: built here)")
    options = parser.parse_args()
    try:
        for file in FILES:
            document = yaml.safe_load((REPOSITORY / file).read_text())
            check_schema(file, document, options.schema)
            print(f"{file} is as the schema wants it", flush=True)
            rehearse(document, pathlib.Path(options.daemon).parent)
        print("scripts/check-compose: passed")
        return 0
    except (Trouble, jsonschema.SchemaError) as trouble:
        print(f"scripts/check-compose: {trouble}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
