"""What is written down."""

import math
import os
import re
import statistics
from datetime import date
from pathlib import Path

from .children import output
from .peers import peer
from .scenarios import SCENARIOS


def whole(value):
    return "-" if math.isnan(value) else f"{value:.0f}"


def ratio(rounds, name, other):
    """The median of the ratios within a round."""
    if other not in rounds[0] or name == other:
        return "-"
    return f"{statistics.median(row[name]['cpu'] / row[other]['cpu'] for row in rounds):.2f}"


def floor_of(name, row):
    """The relay on the same driver, where it ran, else any."""
    found = [floor for floor in (name.replace("tollgate", "floor"), "floor", "floor-uring", "floor-epoll") if floor in row]
    return found[0] if found else ""


def spread(values):
    return f"{min(values):.2f} – {max(values):.2f} | {(max(values) - min(values)) / statistics.median(values):.0%}"


def ruled(lines):
    """With the line below the heading, as wide as it."""
    heading, *rows = lines
    return [heading, "|---|" + "---:|" * (heading.count("|") - 2), *rows]


def one_client(rounds):
    """A row for each peer."""
    yield "| peer | req/s | CPU us/req | min – max | spread | CPU / nginx | CPU / haproxy | p50 us | p99 us | others % | errors |"
    for name in rounds[0]:
        values = {key: [row[name][key] for row in rounds] for key in ("rate", "cpu", "p50", "p99", "others", "errors")}
        median = {key: statistics.median(many) for key, many in values.items()}
        yield (f"| {name} | {median['rate']:.0f} | {median['cpu']:.2f} | {spread(values['cpu'])} "
               f"| {ratio(rounds, name, 'nginx')} | {ratio(rounds, name, 'haproxy')} | {whole(median['p50'])} | {whole(median['p99'])} "
               f"| {median['others']:.0f} | {sum(values['errors'])} |")


def both_clients(rounds):
    """Likewise, each measured by perf/load and by wrk: `own / wrk`."""
    yield ("| peer | req/s own / wrk | CPU us/req own / wrk | min – max (own) | spread | CPU / nginx own / wrk | CPU / haproxy own / wrk | CPU / floor own / wrk "
           "| others % | errors |")
    owned = [{name: one["own"] for name, one in row.items()} for row in rounds]
    for name in rounds[0]:
        median = lambda rows, key: statistics.median(row[name][key] for row in rows)
        both = lambda other: f"{ratio(owned, name, other)} / {ratio(rounds, name, other)}"
        errors = sum(row[name]["errors"] for row in (*rounds, *owned))
        yield (f"| {name} | {median(owned, 'rate'):.0f} / {median(rounds, 'rate'):.0f} | {median(owned, 'cpu'):.2f} / {median(rounds, 'cpu'):.2f} "
               f"| {spread([row[name]['cpu'] for row in owned])} | {both('nginx')} | {both('haproxy')} | {both(floor_of(name, rounds[0]))} "
               f"| {median(owned, 'others'):.0f} | {errors} |")


def straight(direct):
    """The other floor: what core 1 does when nobody stands between."""
    median = lambda key: statistics.median(row[key] for row in direct)
    return (f"Straight at the backend perf/load gets {median('rate'):.0f} answers a second; each costs core 1 {median('cost'):.2f} us in perf/load "
            f"and {median('cpu'):.2f} us in the backend.")


def latency_rows(late):
    """Open loop: each request counts from when it was due."""
    yield "| peer | p50 us | p99 us | min – max (p99) | spread | p99.9 us | p99 / nginx | p99 / haproxy | sent late, p99 us | core 1 busy % | errors |"

    def against(name, other):
        if other not in late[0] or other == name:
            return "-"
        return f"{statistics.median(row[name]['latency']['p99'] / row[other]['latency']['p99'] for row in late):.2f}"

    for name in late[0]:
        median = {key: statistics.median(row[name]["latency"][key] for row in late) for key in ("p50", "p99", "p99.9")}
        p99 = [row[name]["latency"]["p99"] for row in late]
        behind = statistics.median(row[name]["late"]["p99"] for row in late)
        core = statistics.median(row[name]["core"] for row in late)
        yield (f"| {name} | {median['p50']:.0f} | {median['p99']:.0f} | {min(p99):.0f} – {max(p99):.0f} | {(max(p99) - min(p99)) / median['p99']:.0%} "
               f"| {median['p99.9']:.0f} | {against(name, 'nginx')} | {against(name, 'haproxy')} | {behind:.0f} | {core:.0f} "
               f"| {sum(row[name]['errors'] for row in late)} |")


def table(options, scenario, measured):
    rounds, direct, late = measured["rounds"], measured["direct"], measured["latency"]
    lines = [f"### {scenario}: {SCENARIOS[scenario].shows}", ""]
    rows = ruled(both_clients(rounds) if all("own" in one for one in rounds[0].values()) else one_client(rounds))
    nothing = " – |" * (rows[0].count("|") - 2)
    lines += [*rows, *(f"| {name} |{nothing}" for name in options.peers if name not in rounds[0])]
    if direct:
        lines += ["", straight(direct)]
    if late:
        rate = next(iter(late[0].values()))["asked"]
        lines += ["", f"Latency at {rate} requests a second, the same for all (half of the lowest saturation among ours, nginx and HAProxy), from when each was "
                  "due:", "", *ruled(latency_rows(late))]
    return "\n".join(lines) + "\n"


def head(options, commit):
    changed = ", with uncommitted changes" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) // (1 << 20)
    release = os.uname().release
    versions = [told for told in dict.fromkeys(peer(name).version() for name in options.peers) if told]
    versions.append(output("wrk", "-v").splitlines()[0].split(" [")[0])
    ran = f"Rounds: {options.rounds}, windows of {options.window} s after {options.warm} s of warm-up, alternating order, medians."
    left_out = "".join(f"\nLeft out: {name} ({why})." for name, why in options.left_out.items())
    return f"""# {date.today()}, commit {commit}{changed}

{os.cpu_count()} cores ({cpu.group(1) if cpu else "unknown"}), {memory} GiB, Linux {release}; {", ".join(versions)}; {output("rustc", "--version") or "no rustc"}.
Each proxy with one worker on core 0; the load (perf/load, wrk) and the backend (nginx) on core 1; loopback. {ran}
`CPU us/req` is the scheduler's run time of the proxy's threads, the kernel's loopback work in them included. `CPU / nginx` is the median of the ratios
within a round: under 1 is cheaper than nginx. `others %`: what everybody else, the hypervisor included, took of core 0.
`floor`: bytes relayed unread by the same runtime. Differences under about 15 % mean nothing on a shared machine. `–`: it does not have what the scenario asks for.{left_out}
"""
