"""Where a lab's parts are: directories, ports, and the configuration files that are written from them."""
import os
import pathlib
import shutil
import socket
import subprocess

from processes import Trouble

PATRONI_DEFAULTS = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10, "maximum_lag_on_failover": 1048576}


class Ports:
    """The ports of a lab: the customary ones, or a block of 300 from `base` on."""

    def __init__(self, base=None):
        if base is not None and not 1024 <= base <= 65535 - 300:
            raise Trouble(f"--port-base {base}: allowed is 1024 to {65535 - 300}")
        self.base = base

    def _at(self, customary, shifted):
        return customary if self.base is None else self.base + shifted

    @property
    def writes(self): return self._at(5000, 0)

    @property
    def reads(self): return self._at(5001, 1)

    @property
    def statistics(self): return self._at(7000, 2)

    def etcd_client(self, i): return self._at(2379 + 2 * (i - 1), 10 + 2 * (i - 1))

    def etcd_peer(self, i): return self.etcd_client(i) + 1

    def rest(self, i): return self._at(8007 + i, 100 + i)

    def postgresql(self, i): return self._at(5431 + i, 200 + i)

    def all(self, nodes, etcds):
        """Every port with what listens there."""
        found = [(self.writes, "HAProxy (writes)"), (self.reads, "HAProxy (reads)"),
                 (self.statistics, "HAProxy (statistics)")]
        for i in range(1, etcds + 1):
            found += [(self.etcd_client(i), f"etcd e{i}"), (self.etcd_peer(i), f"etcd e{i} (peers)")]
        for i in range(1, nodes + 1):
            found += [(self.rest(i), f"REST of n{i}"), (self.postgresql(i), f"PostgreSQL of n{i}")]
        return found


def busy(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return False
        except OSError:
            return True


def default_directory(base):
    """A place of the user's that is not in the repository; root's is one that the user postgres can reach."""
    name = "lab" if base is None else f"lab-{base}"
    if os.geteuid() == 0:
        return pathlib.Path("/var/lib/matriarch") / name
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return pathlib.Path(state) / "matriarch" / name


def program(*names):
    """The first of the programs that is there; Debian keeps some outside the PATH of ordinary users."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin"
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Trouble(f"{names[0]} is not installed (scripts/setup lab installs it)")


def postgresql_directory():
    """The directory of PostgreSQL's programs: $PGBIN, Debian's, or the one that pg_config names."""
    for place in [os.environ.get("PGBIN"), "/usr/lib/postgresql/15/bin"]:
        if place and os.access(f"{place}/postgres", os.X_OK):
            return place
    try:
        place = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        if os.access(f"{place}/postgres", os.X_OK):
            return place
    except (OSError, subprocess.CalledProcessError):
        pass
    raise Trouble("PostgreSQL's server programs are not installed (scripts/setup lab installs them)")


def node_configuration(lab, i):
    """The configuration of node `i`: the format that the daemon shares with Patroni."""
    ports, home = lab.ports, lab.directory / f"n{i}"
    hosts = ", ".join(f'"127.0.0.1:{ports.etcd_client(k)}"' for k in range(1, lab.etcds + 1))
    dcs = "\n".join(f"    {key}: {value}" for key, value in lab.dcs.items())
    return f"""scope: lab
name: n{i}

restapi:
  listen: 127.0.0.1:{ports.rest(i)}
  connect_address: 127.0.0.1:{ports.rest(i)}

etcd3:
  hosts: [{hosts}]

bootstrap:
  dcs:
{dcs}
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        wal_keep_size: 64MB
        max_connections: 100
        shared_buffers: 32MB
  initdb:
    - encoding: UTF8
    - data-checksums

postgresql:
  listen: 127.0.0.1:{ports.postgresql(i)}
  connect_address: 127.0.0.1:{ports.postgresql(i)}
  data_dir: "{home}/data"
  bin_dir: "{postgresql_directory()}"
  pgpass: "{home}/pgpass"
  authentication:
    superuser:
      username: postgres
      password: "{lab.password}"
    replication:
      username: replicator
      password: "{lab.password}"
    rewind:
      username: rewinder
      password: "{lab.password}"
  pg_hba:
    - local all all scram-sha-256
    - host replication replicator 127.0.0.1/32 scram-sha-256
    - host all all 127.0.0.1/32 scram-sha-256
  parameters:
    unix_socket_directories: "{home}"
    password_encryption: scram-sha-256
"""


def haproxy_configuration(lab):
    """Writes go to the node whose /primary says 200, reads to those whose /replica does.

    The checks are quick because loopback is; a server that goes down loses its sessions at once, so that no client
    goes on talking to a deposed primary.
    """
    ports = lab.ports

    def backend(path):
        lines = [f"    option httpchk OPTIONS {path}", "    http-check expect status 200",
                 "    default-server inter 500ms fastinter 250ms fall 2 rise 1 on-marked-down shutdown-sessions"]
        lines += [f"    server n{i} 127.0.0.1:{ports.postgresql(i)} maxconn 100 check port {ports.rest(i)}"
                  for i in range(1, lab.nodes + 1)]
        return "\n".join(lines)

    return f"""global
    maxconn 1000

defaults
    mode tcp
    log global
    retries 2
    timeout connect 2s
    timeout check 2s
    timeout client 30m
    timeout server 30m

listen statistics
    mode http
    bind 127.0.0.1:{ports.statistics}
    stats enable
    stats uri /
    stats refresh 2s

listen writes
    bind 127.0.0.1:{ports.writes}
{backend("/primary")}

listen reads
    bind 127.0.0.1:{ports.reads}
    balance roundrobin
{backend("/replica")}
"""
