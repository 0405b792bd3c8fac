"""Processes of ours, the folder that they work in, and free ports."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
WORK = Path(tempfile.mkdtemp(prefix="tollgate-perf-"))
atexit.register(shutil.rmtree, WORK, ignore_errors=True)


class Child:
    """A process of ours in a group of its own, ended with everything that it started."""

    alive = []

    def __init__(self, name, core, command):
        self.name = name
        self.log = open(WORK / f"{name}.log", "wb")
        command = ["taskset", "-c", str(core), *map(str, command)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True, cwd=WORK)
        Child.alive.append(self)

    def pids(self):
        """The process and its descendants; nginx works in a child."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    pass
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_ns(self):
        """Scheduler run time of every thread, in nanoseconds."""
        total = 0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(task.read_text().split()[0])
        return total

    def wait_for(self, port):
        for _ in range(1000):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        self.log.flush()
        text = Path(self.log.name).read_text(errors="replace")[-2000:]
        sys.exit(f"{self.name} does not listen at port {port}:\n{text}")

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()


def end_all(at_exit=False):
    """Whoever is impatient, or closes the terminal meanwhile, waits until nobody is left, nor the folder at exit."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    while Child.alive:
        Child.alive[-1].end()
        Child.alive.pop()
    if not at_exit:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_as_asked():
    """Ends in order, with everything that was started, when somebody asks for it or the terminal closes."""
    for one in (signal.SIGTERM, signal.SIGHUP):
        # `nohup` has said that nobody minds the terminal.
        if signal.getsignal(one) != signal.SIG_IGN:
            signal.signal(one, lambda number, _: sys.exit(128 + number))


def release_build(binary):
    """Its path. A debug build tells nothing about speed, and is refused."""
    binary = Path(binary).absolute()
    if not binary.exists():
        sys.exit(f"{binary} is not there; it is built by: cargo build --release")
    if json.loads(output(binary, "version", "--json") or "{}").get("debug"):
        sys.exit(f"{binary} is a debug build, which says nothing about speed: take one of the profile dist or release")
    return binary


def output(*command):
    """What a command says; nothing if it is not here."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return (done.stdout + done.stderr).strip()


def ports(count, base):
    if base:
        return list(range(base, base + count))
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return found


atexit.register(end_all, True)  # before the folder goes: the last that is registered is the first that runs
