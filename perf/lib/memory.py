"""What they hold in memory: at rest, after load, at most, and for each idle connection."""

import http.client
import re
import socket
import ssl
from pathlib import Path

from .children import end_all
from .clients import check, load
from .measure import start
from .scenarios import SCENARIOS

# Which scenario's configuration, and how many connections wait after one answer each.
IDLE = {"plain": ("mock", 4000), "TLS": ("tls-full", 1000)}
LOADED = "get-64"


def kib(child, file, field):
    """The sum over its processes of a line of /proc; shared pages are divided among those who share them in `Pss`."""
    total = 0
    for pid in child.pids():
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.M)
        total += int(found.group(1)) if found else 0
    return total


def pss(child):
    return kib(child, "smaps_rollup", "Pss")


def connections(port, count, path, secure):
    """Kept ones, each after one answer. A client has no session to resume here: all handshakes are full."""
    context = ssl._create_unverified_context() if secure else None
    request = f"GET {path} HTTP/1.1\r\nHost: perf\r\n\r\n".encode()
    kept = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), 10)
        one = context.wrap_socket(one) if secure else one
        one.sendall(request)
        answer = http.client.HTTPResponse(one)
        answer.begin()
        answer.read()
        kept.append(one)
    return kept


def loaded(options):
    """At rest before anything was asked, after load, and the most there ever was; in MiB."""
    told = {}
    running = start(options, LOADED)
    for name, (child, port) in running.items():
        check(name, port, LOADED)
        rest = pss(child)
        load(port, LOADED, options.window)
        told[name] = tuple(value / 1024 for value in (rest, pss(child), kib(child, "status", "VmHWM")))
    end_all()
    return told


def idle(options, kind):
    """KiB for each idle connection."""
    scenario, count = IDLE[kind]
    told = {}
    running = start(options, scenario)
    for name, (child, port) in running.items():
        # Whatever is built at first use is there before: buffers, caches, the TLS of the first clients.
        for one in connections(port, 20, SCENARIOS[scenario].path, kind == "TLS"):
            one.close()
        before = pss(child)
        kept = connections(port, count, SCENARIOS[scenario].path, kind == "TLS")
        told[name] = (pss(child) - before) / count
        for one in kept:
            one.close()
    end_all()
    return told


def memory(options):
    rest, plain, secure = loaded(options), idle(options, "plain"), idle(options, "TLS")
    counts = [IDLE[kind][1] for kind in IDLE]
    lines = [f"### memory: of the processes alone, without the kernel's share; {counts[0]} idle plain connections, {counts[1]} with TLS, each after one answer", "",
             "| peer | at rest MiB | after load MiB | at most MiB | idle connection KiB | with TLS KiB |", "|---|---:|---:|---:|---:|---:|"]
    cell = lambda told, name: f"{told[name]:.2f}" if name in told else "–"
    for name in options.peers:
        of_load = [f"{value:.1f}" for value in rest[name]] if name in rest else ["–"] * 3
        lines.append(f"| {name} | {' | '.join(of_load)} | {cell(plain, name)} | {cell(secure, name)} |")
    print("\n".join(f"  memory: {line}" for line in lines[4:]), flush=True)
    return "\n".join(lines) + "\n"
