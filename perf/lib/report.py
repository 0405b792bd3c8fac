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


def table(options, scenario, rounds):
    def values(name, key):
        return [row[name][key] for row in rounds]

    def against(name, other):
        if other not in rounds[0] or name == other:
            return "-"
        return f"{statistics.median(row[name]['cpu'] / row[other]['cpu'] for row in rounds):.2f}"

    lines = [f"### {scenario}: {SCENARIOS[scenario].shows}", "",
             "| peer | req/s | CPU us/req | min – max | spread | CPU / nginx | CPU / haproxy | p50 us | p99 us | others % | errors |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name in rounds[0]:
        cpu = values(name, "cpu")
        middle = statistics.median(cpu)
        median = {key: statistics.median(values(name, key)) for key in ("rate", "p50", "p99", "others")}
        lines.append(
            f"| {name} | {median['rate']:.0f} | {middle:.2f} | {min(cpu):.2f} – {max(cpu):.2f} | {(max(cpu) - min(cpu)) / middle:.0%} "
            f"| {against(name, 'nginx')} | {against(name, 'haproxy')} | {whole(median['p50'])} | {whole(median['p99'])} "
            f"| {median['others']:.0f} | {sum(values(name, 'errors'))} |")
    nothing = " – |" * (lines[2].count("|") - 2)
    lines += [f"| {name} |{nothing}" for name in options.peers if name not in rounds[0]]
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
Each proxy with one worker on core 0; wrk and the backend (nginx) on core 1; loopback. {ran}
`CPU us/req` is the scheduler's run time of the proxy's threads, the kernel's loopback work in them included. `CPU / nginx` is the median of the ratios
within a round: under 1 is cheaper than nginx. `others %`: what everybody else, the hypervisor included, took of core 0.
Differences under about 15 % mean nothing on a shared machine. `–`: it does not have what the scenario asks for.{left_out}
"""
