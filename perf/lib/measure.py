"""Rounds, and what they cost."""

import os
import re
import signal
import statistics
import time
from pathlib import Path

from . import own
from .children import WORK, Child, end_all, ports
from .clients import check, load, wrk
from .peers import FLOORED, backend, certificate, peer
from .report import whole
from .scenarios import LOAD_CORE, PROXY_CORE, SCENARIOS
from .tokens import issue


def core_ns(core):
    """Busy time of a core, in nanoseconds: user, nice, system, interrupts; and what the hypervisor took."""
    line = re.search(rf"^cpu{core} (.*)$", Path("/proc/stat").read_text(), re.M).group(1)
    ticks = list(map(int, line.split()))
    scale = 1e9 / os.sysconf("SC_CLK_TCK")
    return (sum(ticks[0:3]) + ticks[5] + ticks[6]) * scale, ticks[7] * scale


def measure(child, ask, warm, seconds):
    """What a request costs `child` while `ask` asks for so many seconds."""
    ask(warm)
    cpu, (busy, steal), begin = child.cpu_ns(), core_ns(PROXY_CORE), time.monotonic_ns()
    result = ask(seconds)
    spent = child.cpu_ns() - cpu
    wall = time.monotonic_ns() - begin
    now_busy, now_steal = core_ns(PROXY_CORE)
    result["cpu"] = spent / 1000 / max(result["requests"], 1)
    result["others"] = max(0.0, (now_busy - busy) - spent + (now_steal - steal)) / wall * 100
    return result


def start(options, scenario):
    """The backend and every peer for a scenario, each with its port."""
    asked = SCENARIOS[scenario]
    names = [name for name in options.peers if peer(name).can(asked)]
    if asked.tls and not (WORK / "perf.pem").exists():
        certificate()
    if asked.jwt:
        (WORK / "tokens").write_text("\n".join(issue(WORK, "perf", "web", asked.jwt, asked.tokens)))
    to, *rest = ports(1 + len(names), options.port_base)
    options.behind = (Child("backend", LOAD_CORE, backend(to, asked)), to)
    options.behind[0].wait_for(to)
    running = {}
    for name, port in zip(names, rest):
        child = Child(name, PROXY_CORE, peer(name).command(name, port, to, asked.of(name), options))
        child.wait_for(port)
        running[name] = (child, port)
    return running


def run_scenario(options, scenario):
    """Rounds in alternating order, so that a slow minute of the host hits all alike."""
    running = start(options, scenario)
    for name, (_, port) in running.items():
        check(name, port, scenario)
    rounds, direct, late = [], [], []
    for number in range(options.rounds):
        row = {}
        for name in turns(running, number):
            child, port = running[name]
            row[name] = one = measure(child, lambda seconds: load(port, scenario, seconds), options.warm, options.window)
            told = ""
            if own.can(scenario):
                ask = lambda seconds: own.load(options, port, scenario, seconds)
                row[name]["own"] = measure(child, ask, options.warm / 2, options.window)
                told = f"  own {one['own']['rate']:>8.0f} req/s {one['own']['cpu']:>7.2f} us/req"
            print(f"  {scenario} round {number + 1}: {name:<14} {one['rate']:>8.0f} req/s {one['cpu']:>7.2f} us/req"
                  f"  p50 {whole(one['p50'])} us  p99 {whole(one['p99'])} us{told}  errors {errors_of(one)}", flush=True)
        rounds.append(row)
        if own.can(scenario) and scenario in FLOORED:
            child, port = options.behind
            direct.append(measure(child, lambda seconds: own.load(options, port, scenario, seconds), options.warm / 2, options.window))
    if SCENARIOS[scenario].latency and own.can(scenario):
        late = latencies(options, scenario, running, rounds)
    end_all()
    return {"rounds": rounds, "direct": direct, "latency": late}


def turns(running, number):
    return list(running) if number % 2 == 0 else list(running)[::-1]


def errors_of(one):
    return one["errors"] + one.get("own", {}).get("errors", 0)


def latencies(options, scenario, running, rounds):
    """Every peer at one rate, so that they compare: half of what the slowest of those can do that we compare with most."""
    rates = {name: statistics.median(row[name]["own"]["rate"] for row in rounds) for name in running}
    main = {name: rate for name, rate in rates.items() if name.startswith(("tollgate", "nginx", "haproxy"))} or rates
    rate = max(1, int(min(main.values()) / 2))
    late = []
    for number in range(options.rounds):
        row = {}
        for name in turns(running, number):
            _, port = running[name]
            busy, begin = core_ns(LOAD_CORE)[0], time.monotonic_ns()
            row[name] = own.load(options, port, scenario, options.window, rate, options.warm)
            row[name]["core"] = (core_ns(LOAD_CORE)[0] - busy) / (time.monotonic_ns() - begin) * 100
            row[name]["asked"] = rate
            times = row[name]["latency"]
            print(f"  {scenario} round {number + 1}: {name:<14} at {rate} req/s  p50 {times['p50']:.0f} us  p99 {times['p99']:.0f} us"
                  f"  p99.9 {times['p99.9']:.0f} us  errors {row[name]['errors']}", flush=True)
        late.append(row)
    return late


def system_calls(options):
    """Calls per request at 64 connections, counted by strace, which slows all of them down: no speed is read here."""
    running = start(options, "get-64")
    lines = ["### syscalls: system calls per request, GET, 128 B, 64 connections (under strace)", "",
             "| peer | calls per request | the most frequent |", "|---|---:|---|"]
    for name, (child, port) in running.items():
        wrk(port, "get-64", 1)
        out = WORK / f"{name}.strace"
        targets = [part for pid in child.pids() for part in ("-p", str(pid))]
        tracer = Child("strace", LOAD_CORE, ["strace", "-c", "-f", "-o", out, *targets])
        time.sleep(0.5)
        requests = wrk(port, "get-64", options.window)["requests"]
        os.killpg(tracer.process.pid, signal.SIGINT)
        tracer.process.wait(10)
        calls = {}
        for line in out.read_text().splitlines():
            parts = line.split()
            if len(parts) >= 5 and parts[3].isdigit() and parts[-1] != "total":
                calls[parts[-1]] = int(parts[3])
        top = sorted(calls.items(), key=lambda item: -item[1])[:5]
        shown = ", ".join(f"{call} {count / requests:.2f}" for call, count in top)
        print(f"  syscalls: {name:<14} {sum(calls.values()) / requests:.2f} per request ({shown})", flush=True)
        lines.append(f"| {name} | {sum(calls.values()) / requests:.2f} | {shown} |")
    end_all()
    return "\n".join(lines) + "\n"
