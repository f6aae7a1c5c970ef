"""Carries out the steps of the Dockerfile's stages `base` and `node` in a root made by debootstrap, as an engine would,
and starts a cluster of three from that root."""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from processes import Trouble, rooted, send, until

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZE_MAX_MB = 120
PASSWORD = "only-for-the-check"


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def instructions(path):
    """(stage, instruction, argument) of each step, lines that are continued joined, comments left out."""
    stage, joined = None, ""
    for line in open(path):
        if line.lstrip().startswith("#"):
            continue
        joined += line.rstrip("\n")
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        words, joined = joined.split(None, 1), ""
        if not words:
            continue
        name, rest = words[0].upper(), words[1] if len(words) > 1 else ""
        if name == "FROM":
            stage = re.search(r"\bAS\s+(\S+)", rest, re.I).group(1)
        yield stage, name, rest


class Image:
    def __init__(self, root, binaries):
        self.root, self.binaries = root, binaries
        self.arguments, self.user, self.entrypoint, self.command = {}, "root", [], []

    def inside(self, words, user="root", variables=(), **options):
        name = [] if user == "root" else [f"--userspec={user}"]
        environment = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                       "DEBIAN_FRONTEND=noninteractive"]
        environment += [f"{key}={value}" for key, value in {**self.arguments, **dict(variables)}.items()]
        return ["chroot", *name, self.root, *environment, *words]

    def build(self):
        for stage, name, rest in instructions(os.path.join(TREE, "Dockerfile")):
            if stage not in ("base", "node") or name == "FROM":
                continue
            if name == "ARG":
                key, _, value = rest.partition("=")
                self.arguments[key] = value
            elif name == "RUN":
                # Images of Debian have no lists of packages, and one layer after the other fetches them.
                run(self.inside(["sh", "-c", rest]), stage)
            elif name == "COPY":
                self.copy(rest.split())
            elif name == "USER":
                self.user = rest
            elif name == "ENTRYPOINT":
                self.entrypoint, self.command = json.loads(rest), []
            elif name == "CMD":
                self.command = json.loads(rest)
            elif name not in ("VOLUME", "EXPOSE"):
                sys.exit(f"check-image: the Dockerfile has a step that is not known here: {name}")

    def copy(self, words):
        target = self.root + words[-1]
        if words[0] == "--from=build":
            os.makedirs(target, exist_ok=True)
            for program in ("matriarch", "matriarch-guardian", "matriarchctl"):
                subprocess.run(["install", "-s", os.path.join(self.binaries, program), target], check=True)
            if not os.path.lexists(target + "/patronictl"):
                os.symlink("matriarchctl", target + "/patronictl")
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.join(TREE, words[0]), target)

    def installed(self):
        """Packages with their sizes in kB and the names of what they need."""
        text = subprocess.check_output(
            self.inside(["dpkg-query", "-W", "-f", "${Package}|${Installed-Size}|${Depends},${Pre-Depends}\n"]), text=True)
        packages = {}
        for line in text.splitlines():
            name, size, needs = line.split("|", 2)
            packages[name] = (int(size or 0), re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", needs))
        return packages


def needed(packages, names):
    """`names`, and all that they need of `packages`."""
    found, rest = set(), [name for name in names if name in packages]
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += [need for need in packages[name][1] if need in packages]
    return found


def run(command, what):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        sys.exit(f"check-image: a step of {what} failed:\n" + "\n".join(result.stdout.splitlines()[-15:]))


def answer(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as reply:
            return json.loads(reply.read() or "{}")
    except (OSError, ValueError):
        return None


class Cluster:
    """One etcd of this host and three nodes, each the image's command under a uid that has no name."""

    def __init__(self, image, base, place):
        self.image, self.base, self.place, self.processes = image, base, place, []

    def start(self, name, command):
        log = open(os.path.join(self.place, name + ".log"), "w")
        self.processes.append(subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True))

    def rest(self, node):
        return self.base + 10 + node

    def begin(self):
        client, peer = f"http://127.0.0.1:{self.base}", f"http://127.0.0.1:{self.base + 1}"
        self.start("etcd", [
            "etcd", "--data-dir", os.path.join(self.place, "etcd"), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}"])
        until("etcd is healthy", 30, lambda: answer(self.base, "/health"))
        for node in (1, 2, 3):
            postgresql = self.base + 20 + node
            directory = f"/var/lib/postgresql/n{node}"
            run(self.image.inside(["install", "-d", "-o", f"{12000 + node}", "-m", "0700", directory]), "volumes")
            run(self.image.inside(["install", "-d", "-o", f"{12000 + node}", "-m", "0700", f"/run/matriarch/n{node}"]),
                "volumes")
            variables = {
                "PATRONI_SCOPE": "image", "PATRONI_NAME": f"n{node}",
                "PATRONI_ETCD3_HOSTS": f"'127.0.0.1:{self.base}'",
                "PATRONI_RESTAPI_LISTEN": f"127.0.0.1:{self.rest(node)}",
                "PATRONI_RESTAPI_CONNECT_ADDRESS": f"127.0.0.1:{self.rest(node)}",
                "PATRONI_POSTGRESQL_LISTEN": f"127.0.0.1:{postgresql}",
                "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"127.0.0.1:{postgresql}",
                "PATRONI_POSTGRESQL_DATA_DIR": f"{directory}/data",
                "PATRONI_SUPERUSER_USERNAME": "postgres", "PATRONI_SUPERUSER_PASSWORD": PASSWORD,
                "PATRONI_REPLICATION_USERNAME": "replicator", "PATRONI_REPLICATION_PASSWORD": PASSWORD,
                "MATRIARCH_RUN_DIR": f"/run/matriarch/n{node}",
            }
            # Any uid: the image makes a name for it. PostgreSQL's sockets are in /var/run/postgresql, which all share.
            self.start(f"n{node}", self.image.inside(
                self.image.entrypoint + self.image.command, user=f"{12000 + node}:0", variables=variables))

    def members(self, node=1):
        return {m["name"]: m for m in (answer(self.rest(node), "/cluster") or {}).get("members", [])}

    def whole(self):
        members = self.members()
        leader = [name for name, m in members.items() if m["role"] == "leader" and m["state"] == "running"]
        streaming = [m for m in members.values() if m["state"] == "streaming"]
        return leader[0] if len(leader) == 1 and len(streaming) == 2 else None

    def switch(self, old):
        new = next(name for name in self.members() if name != old)
        run(self.image.inside([
            "matriarchctl", "-d", f"etcd3://127.0.0.1:{self.base}", "switchover", "image", "--leader", old, "--candidate",
            new, "--force"]), "the switchover")
        until("the other one leads and all stream", 60, lambda: self.whole() == new)
        return new

    def tail(self):
        for name in ("etcd", "n1", "n2", "n3"):
            path = os.path.join(self.place, name + ".log")
            if os.path.exists(path):
                print(f"--- {name}\n" + "".join(open(path, errors="replace").readlines()[-15:]), file=sys.stderr)


def end(root, processes):
    """Ends what runs in the root, and etcd: in order first, then for certain. Nobody else is touched."""
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
        for pid in rooted(root):
            send(pid, number)
        deadline = time.monotonic() + 8
        while rooted(root) and time.monotonic() < deadline:
            time.sleep(0.2)
    for process in processes:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(prog="scripts/check-image", description=__doc__)
    parser.add_argument("--binaries", required=True, help="where the three programs are (default: they are built)")
    parser.add_argument("--port", type=int, default=31600, help="the first of some thirty free ports")
    parser.add_argument("--keep", action="store_true", help="leave the root and the logs where they are")
    options = parser.parse_args()
    place = os.path.realpath(tempfile.mkdtemp(prefix="matriarch-image-"))
    os.chmod(place, 0o755)
    root = os.path.join(place, "root")
    image, cluster = Image(root, options.binaries), None
    mounts = [["-t", "proc", "proc", root + "/proc"], ["--bind", "/dev", root + "/dev"]]
    mounted = []
    try:
        say("a root of Debian")
        subprocess.run([os.path.join(TREE, "scripts/lab.d/debian-root"), root, "ca-certificates"], check=True)
        for mount in mounts:
            subprocess.run(["mount", *mount], check=True)
            mounted.append(mount[-1])
        before = image.installed()
        say("the steps of the Dockerfile")
        image.build()
        added = {name: package for name, package in image.installed().items() if name not in before}
        # What PostgreSQL brings along is its own: Perl, LLVM, ICU.
        servers = needed(added, [name for name in added if name.startswith("postgresql")])
        postgresql = sum(added[name][0] for name in servers)
        own = sum(os.lstat(os.path.join(root, "usr/local/bin", name)).st_size // 1024
                  for name in os.listdir(os.path.join(root, "usr/local/bin")))
        size = (sum(package[0] for package in added.values()) - postgresql + own) // 1024
        say(f"{size} MB over Debian's image without PostgreSQL ({postgresql // 1024} MB), of them programs {own // 1024} MB")
        if size > SIZE_MAX_MB:
            sys.exit(f"check-image: {size} MB are more than {SIZE_MAX_MB}")
        if image.user == "root":
            sys.exit("check-image: the image runs as root")
        say("a cluster of three")
        cluster = Cluster(image, options.port, place)
        cluster.begin()
        leader = until("one leader, two that stream", 120, cluster.whole)
        say(f"{leader} leads; a switchover")
        say(f"{cluster.switch(leader)} leads")
        say("all is well")
    except (Trouble, subprocess.CalledProcessError) as error:
        if cluster:
            cluster.tail()
        sys.exit(f"check-image: {error}")
    finally:
        end(root, cluster.processes if cluster else [])
        for mount in reversed(mounted):
            subprocess.run(["umount", "-l", mount])
        if options.keep:
            say(f"kept: {place}")
        else:
            subprocess.run(["rm", "-rf", "--one-file-system", place])


if __name__ == "__main__":
    main()
