"""Carries out the part "Three servers" of docs/quickstart.md as it stands there, command by command and file by file, on
three servers and one for HAProxy: Debian roots in network namespaces of their own, with the addresses of the page. What
the page does not say is not done. Needs root. Nothing of it touches the packages or the network of this host."""
import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from processes import Trouble, rooted, send, until

TREE = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["db1", "db2", "db3"]
ADDRESS = {"db1": "192.0.2.1", "db2": "192.0.2.2", "db3": "192.0.2.3", "proxy": "192.0.2.10"}
CONFIGURATION = "/etc/matriarch/matriarch.yml"


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def sections(page):
    """Blocks by the number of their section: those that are indented, and those between fences."""
    found, number, block, fenced = {}, None, None, False
    for line in page.splitlines() + [""]:
        heading = re.match(r"### (\d+)\. ", line)
        if heading:
            number, block = int(heading.group(1)), None
            found[number] = []
        elif line.startswith("## "):
            number, block = None, None
        if number is None:
            continue
        if line.startswith("```"):
            fenced, block = not fenced, None
        elif fenced or line.startswith("    "):
            if block is None:
                block = []
                found[number].append(block)
            block.append(line if fenced else line[4:])
        elif line.strip():
            block = None
        elif block is not None:
            block.append("")
    return {number: ["\n".join(block).strip() for block in blocks] for number, blocks in found.items()}


class Server:
    """A root, and a network namespace that a sleeping process holds."""

    def __init__(self, name, base, place):
        self.name, self.root, self.mounted = name, place / name, []
        self.holder = None
        subprocess.run(["cp", "-a", "--reflink=auto", base, self.root], check=True)
        (self.root / "etc/hostname").write_text(name + "\n")
        shutil.copy(TREE / "scripts/lab.d/systemctl", self.root / "usr/local/sbin/systemctl")
        (self.root / "usr/local/sbin/hostname").write_text(f"#!/bin/sh\necho {name}\n")
        os.chmod(self.root / "usr/local/sbin/hostname", 0o755)

    def mount(self):
        for words in [["-t", "proc", "proc", self.root / "proc"], ["--bind", "/dev", self.root / "dev"]]:
            subprocess.run(["mount", *words], check=True)
            self.mounted.append(words[-1])
        # As packages' tmpfiles make it when a server starts.
        subprocess.run(["chroot", self.root, "sh", "-c",
                        "getent passwd postgres >/dev/null && install -d -o postgres -g postgres -m 2775 "
                        "/run/postgresql; install -d /run/haproxy"], check=True)

    def join(self, bridge):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        outer, own = bridge.pid, self.holder.pid
        until("it has a network of its own", 5,
              lambda: os.readlink(f"/proc/{own}/ns/net") != os.readlink("/proc/self/ns/net"))
        for where, words in [
                (outer, ["link", "add", f"v-{self.name}", "type", "veth", "peer", "name", "eth0", "netns", str(own)]),
                (outer, ["link", "set", f"v-{self.name}", "master", "br0", "up"]),
                (own, ["link", "set", "lo", "up"]), (own, ["link", "set", "eth0", "up"]),
                (own, ["address", "add", f"{ADDRESS[self.name]}/24", "dev", "eth0"])]:
            subprocess.run(["nsenter", "-t", str(where), "-n", "ip", *words], check=True)

    def command(self, text, answers="", variables=()):
        words = ["chroot", str(self.root), "env", "-i", "HOME=/root", "DEBIAN_FRONTEND=noninteractive",
                 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *variables, "sh", "-ec", text]
        if self.holder:
            words = ["nsenter", "-t", str(self.holder.pid), "-n", *words]
        return subprocess.run(words, input=answers, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def do(self, text, **options):
        """As root on this server; what it says."""
        done = self.command(text, **options)
        if done.returncode != 0:
            raise Trouble(f"on {self.name}:\n{text}\nended with {done.returncode}:\n{done.stdout}\n{self.tails()}")
        return done.stdout

    def tails(self):
        logs = sorted((self.root / "var/log").glob("*.log"))
        return "\n".join(f"--- {self.name}: {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:])
                         for log in logs if log.stem in ("matriarch", "etcd", "haproxy"))

    def end(self):
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
            for unit in ("matriarch", "etcd", "haproxy"):
                (self.root / f"run/{unit}.ends").touch()
            deadline = time.monotonic() + 5
            while (left := rooted(self.root)) and time.monotonic() < deadline:
                for pid in left:
                    send(pid, number)
                time.sleep(0.3)
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        for mount in reversed(self.mounted):
            subprocess.run(["umount", "-l", mount])


def own(text, name):
    """What the page gives for db1, as it is on `name`."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("ETCD_INITIAL_CLUSTER=") and "hosts:" not in line:
            line = re.sub(r"192\.0\.2\.1\b", ADDRESS[name], line)
            line = re.sub(r"\bdb1\b", name, line)
        lines.append(line)
    return "\n".join(lines) + "\n"


class Walk:
    def __init__(self, page, package, place):
        self.blocks, self.package, self.place = sections(page), package, place
        self.servers, self.proxy, self.bridge = {}, None, None

    def block(self, section, number):
        try:
            return self.blocks[section][number]
        except (KeyError, IndexError):
            raise Trouble(f"docs/quickstart.md has no block {number} in section {section}") from None

    def prepare(self):
        """What fetches packages is done once, on the first root: the servers are alike so far."""
        say("1. PostgreSQL; 3. the package")
        base = self.place / "base"
        subprocess.run([TREE / "scripts/lab.d/debian-root", base, "ca-certificates"], check=True)
        first = Server("first", base, self.place)
        first.mount()
        try:
            first.do(self.block(1, 0))
            shutil.copy(self.package, first.root)
            first.do(f"cd /; {self.block(3, 1)}")
        finally:
            first.end()
        for name in NAMES:
            self.servers[name] = Server(name, first.root, self.place)
        self.proxy = Server("proxy", base, self.place)
        self.proxy.mount()
        self.proxy.do("apt-get install -y haproxy postgresql-client")
        self.bridge = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        time.sleep(0.3)
        subprocess.run(["nsenter", "-t", str(self.bridge.pid), "-n", "sh", "-ec",
                        "ip link add br0 type bridge; ip link set br0 up"], check=True)
        for server in self.servers.values():
            server.mount()
        for server in [*self.servers.values(), self.proxy]:
            server.join(self.bridge)

    def etcd(self):
        say("2. etcd")
        commands = self.block(2, 1).splitlines()
        for name, server in self.servers.items():
            (server.root / "etc/default/etcd").write_text(own(self.block(2, 0), name))
            server.do("\n".join(commands[:-1]))
        until("etcd is healthy", 60, lambda: self.servers["db1"].command(commands[-1]).returncode == 0)

    def configure(self):
        say("4. the configuration")
        for name, server in self.servers.items():
            text = own(self.block(4, 0), name)
            (server.root / CONFIGURATION.lstrip("/")).write_text(text)
            server.do(self.block(4, 1))
            said = server.do(self.block(4, 2))
            if said:
                raise Trouble(f"--validate-config says on {name}: {said}")

    def start(self):
        say("5. start")
        enable, look = self.block(5, 0).splitlines()[:2]
        self.servers["db1"].do(enable)
        until("db1 leads", 90, lambda: self.leader(look) == "db1")
        for name in NAMES[1:]:
            self.servers[name].do(enable)
        until("the others stream", 120, lambda: self.whole(look))
        print(self.servers["db1"].do(look), flush=True)
        return look

    def members(self, look):
        for server in self.servers.values():
            done = server.command(look)
            if done.returncode == 0:
                return [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()
                        if line.startswith("| db")]
        return []

    def leader(self, look):
        return next((row[0] for row in self.members(look) if row[2] == "Leader" and row[3] == "running"), None)

    def whole(self, look):
        states = sorted(row[3] for row in self.members(look))
        return states == ["running", "streaming", "streaming"] and self.leader(look)

    def clients(self):
        say("6. HAProxy")
        listen, _, commands = self.block(6, 0).partition("systemctl")
        with open(self.proxy.root / "etc/haproxy/haproxy.cfg", "a") as file:
            file.write("\n" + listen)
        password = re.search(r"superuser: \{username: postgres, password: ([^}]+)\}", self.block(4, 0)).group(1)
        text = f"systemctl{commands}".replace("HAPROXY", ADDRESS["proxy"]).splitlines()
        self.proxy.do(text[0])
        until("a table is made through HAProxy", 60,
              lambda: self.proxy.command("\n".join(text[1:]), variables=[f"PGPASSWORD={password}"]).returncode == 0)

    def attempts(self, look):
        say("7. a switchover, and the primary killed")
        switchover, kill = self.block(7, 0).splitlines()
        before = self.leader(look)
        print(self.servers["db1"].do(switchover, answers="\n\n\ny\n"), flush=True)
        after = until("another one leads, the others stream", 90,
                      lambda: self.whole(look) not in (None, False, before) and self.whole(look))
        self.servers[after].do(kill)
        began = time.monotonic()
        until("one leads again", 60, lambda: self.leader(look))
        print(f"{self.leader(look)} leads {time.monotonic() - began:.1f} s after {after} was killed", flush=True)
        until("all are back", 120, lambda: self.whole(look))

    def end(self):
        for server in [*self.servers.values(), self.proxy]:
            if server:
                server.end()
        if self.bridge:
            self.bridge.kill()
            self.bridge.wait()


def main():
    parser = argparse.ArgumentParser(prog="scripts/check-quickstart", description=__doc__)
    parser.add_argument("package", help="the Debian package (default: it is built)")
    parser.add_argument("--keep", action="store_true", help="leave the roots where they are")
    options = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="matriarch-quickstart-")).resolve()
    place.chmod(0o755)
    walk = Walk((TREE / "docs/quickstart.md").read_text(), options.package, place)
    try:
        walk.prepare()
        walk.etcd()
        walk.configure()
        look = walk.start()
        walk.clients()
        walk.attempts(look)
        say("all is well")
    except (Trouble, subprocess.CalledProcessError) as trouble:
        for server in walk.servers.values():
            print(server.tails(), file=sys.stderr)
        sys.exit(f"scripts/check-quickstart: {trouble}")
    finally:
        walk.end()
        if options.keep:
            say(f"kept: {place}")
        else:
            subprocess.run(["rm", "-rf", "--one-file-system", place])


if __name__ == "__main__":
    main()
