"""Measures what an idle cluster of three asks of its store, beside Patroni where asked for."""
import os
import re
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import contest  # noqa: E402
import layout  # noqa: E402

PORT_BASE = 30700
CALLS = "grpc_server_handled_total"
BYTES = ["etcd_network_client_grpc_sent_bytes_total", "etcd_network_client_grpc_received_bytes_total"]


def counters(lab):
    """What etcd has counted since it started: calls by method, bytes sent to clients and received from them."""
    _, text = cluster.http("GET", f"http://127.0.0.1:{lab.ports.etcd_client(1)}/metrics")
    calls, sums = {}, dict.fromkeys(BYTES, 0)
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith(CALLS):
            method = re.search(r'grpc_method="([^"]+)"', name).group(1)
            calls[method] = calls.get(method, 0) + int(float(value))
        elif name in sums:
            sums[name] = int(float(value))
    return calls, sums


def measure_one(command, seconds):
    with tempfile.TemporaryDirectory(dir=layout.default_directory(PORT_BASE).parent) as place:
        os.chmod(place, 0o755)
        lab = cluster.Lab(f"{place}/lab", PORT_BASE, daemon=command)
        try:
            lab.up()
            time.sleep(2 * lab.dcs["loop_wait"])  # what a start has left to do is done
            calls, sums = counters(lab)
            begun = time.monotonic()
            time.sleep(seconds)
            later, totals = counters(lab)
            minutes = (time.monotonic() - begun) / 60
            found = {name: (later[name] - calls.get(name, 0)) / minutes for name in later}
            # A watch is one call that lasts; what it is sent counts as bytes.
            return {"calls": {name: round(rate, 1) for name, rate in sorted(found.items()) if rate},
                    "requests": round(sum(found.values()), 1),
                    "sent": round((totals[BYTES[0]] - sums[BYTES[0]]) / minutes),
                    "received": round((totals[BYTES[1]] - sums[BYTES[1]]) / minutes)}
        finally:
            lab.down()


def measure(options):
    layout.default_directory(PORT_BASE).parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    found = {}
    with tempfile.TemporaryDirectory(dir=layout.default_directory(PORT_BASE).parent) as place:
        os.chmod(place, 0o755)
        for name, command in contest.daemons(options, ["lab"]).items():
            print(f"{name}: {options.seconds:.0f} s of an idle cluster of three", file=sys.stderr, flush=True)
            found[name] = measure_one(command(layout.pathlib.Path(place)), options.seconds)
    return found


def report(found):
    print(f"{'a minute':10}{'requests':>10}{'etcd sends':>12}{'etcd gets':>11}  calls")
    for name, row in found.items():
        calls = ", ".join(f"{method} {rate}" for method, rate in row["calls"].items())
        print(f"{name:10}{row['requests']:10.1f}{row['sent']:11} B{row['received']:9} B  {calls}")


def main():
    parser = contest.parser("scripts/bench store", __doc__)
    parser.add_argument("--seconds", type=float, default=60, metavar="S", help="how long is counted (default 60)")
    return contest.run(parser.parse_args(), measure, report)


if __name__ == "__main__":
    sys.exit(main())
