"""Measures the REST API: ours, Patroni's where asked for, and nginx answering the same bytes from files, by wrk.

Every subject leads a cluster of one node. The measurements of one kind run one after another, nginx among them, so that
what else the machine does falls on all alike. Beside each rate: the 99th percentile, and CPU and memory of the server.
"""
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import contest  # noqa: E402
import hostile  # noqa: E402
import layout  # noqa: E402
from processes import Trouble  # noqa: E402

PATHS = ["/primary", "/patroni", "/cluster", "/metrics"]
PORTS = {"subject": 32000, "subject-tls": 32500, "peer": 33000, "peer-tls": 33500, "nginx": 34000,
         "before": 35000, "before-tls": 35500}
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """Something that answers: where, and as which processes."""

    def __init__(self, name, url, pids):
        self.name, self.url, self.pids = name, url, pids

    def cpu(self):
        """Seconds of CPU so far."""
        total = 0
        for pid in self.pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self):
        """Megabytes resident."""
        found = 0
        for pid in self.pids:
            match = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
            found += int(match[1]) / 1024 if match else 0  # nothing is left of one that has ended
        return found


def fetch(url):
    """Status, content type and body."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        answer = urllib.request.urlopen(url, timeout=5, context=context)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers.get("Content-Type", "text/html"), answer.read()


def free_base(start):
    """The first block of ports from `start` on in which nothing listens."""
    while any(layout.busy(port) for port, _ in layout.Ports(start).all(1, 1)):
        start += 100
    return start


def certificate(directory):
    paths = directory / "server.crt", directory / "server.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench",
                    "-keyout", paths[1], "-out", paths[0]], check=True, capture_output=True)
    for path in paths:
        path.chmod(0o644)
    return paths


class Subject:
    """A daemon that leads a cluster of one node."""

    def __init__(self, name, daemon, tls):
        self.directory = layout.default_directory(PORTS[name]).parent / f"bench-{name}"
        self.hold = cluster.locked(self.directory)
        left = cluster.Lab.load(self.directory)
        if left:
            left.down()
            left.remove()
        self.lab = cluster.Lab(self.directory, free_base(PORTS[name]), nodes=1)
        self.lab.prepare()
        self.lab.daemon = daemon(self.directory)
        if tls:
            file = self.directory / "n1.yml"
            text = file.read_text().replace(
                "restapi:\n", f"restapi:\n  certfile: {tls[0]}\n  keyfile: {tls[1]}\n", 1)
            file.write_text(text)
        self.name, self.scheme = name.split("-")[0], "https" if tls else "http"

    def up(self):
        self.lab.start_etcd()
        self.lab.start_node("n1")
        url = self.lab.rest("n1").replace("http", self.scheme, 1)
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if fetch(url + "/primary")[0] == 200:
                    return Server(self.name, url, [self.lab.running["n1"][0]])
            except OSError:
                pass
            time.sleep(0.2)
        raise Trouble(f"{self.name} does not lead:\n{self.lab.tails(['n1'])}")

    def down(self):
        self.lab.down()
        self.lab.remove()


class Nginx:
    """nginx with one worker, as ours has one event loop; access log off. TLS as ours has it, with tickets: wrk resumes
    its sessions by them, here and there, so that few handshakes cost a signature."""

    def __init__(self, answers, tls):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="matriarch-nginx-"))
        self.directory.chmod(0o755)
        locations = ""
        for path, (_, kind, body) in answers.items():
            file = self.directory / path[1:]
            file.write_bytes(body)
            locations += f"location = {path} {{ default_type '{kind}'; alias {file}; }}\n    "
        self.port = PORTS["nginx"]
        (self.directory / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {self.directory}/pid; error_log {self.directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on; open_file_cache max=100;
  client_body_temp_path {self.directory}/b; proxy_temp_path {self.directory}/p; fastcgi_temp_path {self.directory}/f;
  uwsgi_temp_path {self.directory}/u; scgi_temp_path {self.directory}/s;
  server {{
    listen 127.0.0.1:{self.port} backlog=4096; listen 127.0.0.1:{self.port + 1} ssl backlog=4096;
    ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on; ssl_session_cache off;
    {locations}
  }}
}}
""")
        self.process = subprocess.Popen([layout.program("nginx"), "-c", self.directory / "nginx.conf"],
                                        stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < until:
            try:
                if fetch(f"http://127.0.0.1:{self.port}/primary")[0]:
                    break
            except OSError:
                time.sleep(0.1)
        else:
            raise Trouble(f"nginx did not start: {self.directory}")

    def server(self, scheme):
        workers = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return Server("nginx", f"{scheme}://127.0.0.1:{self.port + (scheme == 'https')}",
                      [self.process.pid, *map(int, workers)])

    def down(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


def load(server, path, connections, kept, seconds):
    """One run of wrk."""
    arguments = [layout.program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    if not kept:
        arguments += ["-H", "Connection: close"]
    before, begun = server.cpu(), time.monotonic()
    text = subprocess.run([*arguments, server.url + path], capture_output=True, text=True).stdout
    spent = (server.cpu() - before) / (time.monotonic() - begun)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    errors = re.search(r"Non-2xx.*?(\d+)", text)
    return {"per_s": rate, "p99_ms": float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
            "cpu": spent, "rss_mb": server.memory(), "bad": int(errors[1]) if errors else 0}


def kinds(scheme):
    for kept in (True, False):
        for connections in (32, 256):
            yield "/primary", connections, kept
    if scheme == "http":
        for path in PATHS[1:]:
            yield path, 32, True


def measure(scheme, servers, options, found):
    for path, connections, kept in kinds(scheme):
        row = f"{scheme:5} {path:9} {connections:3} {'kept' if kept else 'each'}"
        rounds = [{server.name: load(server, path, connections, kept, options.seconds) for server in servers}
                  for _ in range(options.rounds)]
        found[row] = {server.name: max((cells[server.name] for cells in rounds), key=lambda cell: cell["per_s"])
                      for server in servers}
        report({row: found[row]})


def report(found):
    for row, cells in found.items():
        base = cells["nginx"]["per_s"]
        parts = [f"{name} {c['per_s']:9.0f}/s ({c['per_s'] / base:5.2f}) p99 {c['p99_ms']:7.2f} ms "
                 f"cpu {c['cpu']:4.2f} {c['rss_mb']:5.1f} MB{' BAD ' + str(c['bad']) if c['bad'] else ''}"
                 for name, c in cells.items()]
        print(row + " | " + " | ".join(parts), flush=True)


def summarise(found):
    """The ratios that matter, after all rows: to nginx, of TLS to plain, and what a server costs."""
    print(f"\n{'':24} {'req/s':>9} {'of nginx':>9} {'of plain':>9} {'p99 ms':>8} {'CPU':>5} {'us/req':>7} {'MB':>6}")
    for row, cells in found.items():
        for name, cell in cells.items():
            plain = found.get(row.replace("https", "http "), {}).get(name)
            of_plain = f"{cell['per_s'] / plain['per_s']:9.2f}" if plain and row.startswith("https") else " " * 9
            print(f"{row if name == next(iter(cells)) else '':24} {cell['per_s']:9.0f} "
                  f"{cell['per_s'] / cells['nginx']['per_s']:9.2f} {of_plain} {cell['p99_ms']:8.2f} {cell['cpu']:5.2f} "
                  f"{cell['cpu'] / cell['per_s'] * 1e6:7.1f} {cell['rss_mb']:6.1f}  {name}")


def endure(servers, attacks, clients, probes):
    """Probes among attackers, for each server and each kind of attack."""
    found = {}
    for kind in attacks:
        for server in servers:
            host, port = server.url.split("//")[1].split(":")
            cell = hostile.measure(kind, (host, int(port)), server.url.startswith("https"), clients, probes)
            cell["rss_mb"] = server.memory()
            found.setdefault(kind, {})[server.name] = cell
            print(f"{server.url.split(':')[0]:5} {kind:11} {cell['clients']:5} {server.name:8} "
                  f"{cell['answered']:5} of {cell['probes']} answered, p50 {cell['p50_among_ms']:.2f} "
                  f"p99 {cell['p99_among_ms']:.2f} (alone {cell['p99_alone_ms']:.2f}) "
                  f"max {cell['max_among_ms']:.2f} ms; "
                  f"{cell['opened_per_s']:.0f} opened a second; {cell['rss_mb']:.1f} MB", flush=True)
            # What is left of the attack in the kernel's queues is not the next one's.
            time.sleep(3)
    return found


def measure_all(options):
    found = {}
    daemons = contest.daemons(options, ["lab", "bench"])
    if options.beside:
        daemons["before"] = lambda directory: cluster.command(options.beside)
    keys = pathlib.Path(tempfile.mkdtemp(prefix="matriarch-bench-"))
    keys.chmod(0o755)
    try:
        tls = certificate(keys)
        for scheme in ("http", "https"):
            suffix, subjects, nginx = "-tls" if scheme == "https" else "", [], None
            try:
                servers = []
                for name, command in daemons.items():
                    subjects.append(Subject(name + suffix, command, tls if suffix else None))
                    servers.append(subjects[-1].up())
                nginx = Nginx({path: fetch(servers[0].url + path) for path in PATHS}, tls)
                servers.append(nginx.server(scheme))
                if options.hostile:
                    known = hostile.TLS if scheme == "https" else hostile.PLAIN
                    chosen = [kind for kind in known if kind in (options.attack or known)]
                    found[scheme] = endure(servers, chosen, options.hostile, options.probes)
                else:
                    measure(scheme, servers, options, found)
            finally:
                for part in [*subjects, *([nginx] if nginx else [])]:
                    part.down()
    finally:
        shutil.rmtree(keys)
    return found


def main():
    parser = contest.parser("scripts/bench rest", __doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default 5)")
    parser.add_argument("--beside", metavar="COMMAND", help="measure this daemon, too: one from before a change")
    parser.add_argument("--rounds", type=int, default=1,
                        help="measure each so often, in turns, and show the best of each (default 1)")
    parser.add_argument("--hostile", type=int, metavar="CLIENTS", nargs="?", const=10000,
                        help="instead: probe each while so many clients attack it (default 10000)")
    parser.add_argument("--attack", action="append", metavar="KIND", choices=sorted({*hostile.PLAIN, *hostile.TLS}),
                        help="only this; again for more: " + ", ".join(sorted({*hostile.PLAIN, *hostile.TLS})))
    parser.add_argument("--probes", type=int, default=1000, help="of each attack (default 1000)")
    options = parser.parse_args()
    return contest.run(options, measure_all, lambda found: None if options.hostile else summarise(found))


if __name__ == "__main__":
    sys.exit(main())
