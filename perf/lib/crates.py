"""Peers that are small programs of ours on somebody's crate, in the workspace perf/peers: Pingora, and the runtimes monoio and glommio."""

import os
import shutil
import subprocess
import tomllib

from .children import ROOT, WORK

WORKSPACE = ROOT / "perf/peers"
PLAIN = ("get-64", "get-512", "get-16k", "post-4k")
TOOLS = {"pingora": ("cmake", "make", "perl")}  # it builds zlib-ng and an OpenSSL of its own
PINGORA = (*PLAIN, "mock", "tls-get", "tls-full", "tls-resumed", "h2-get", "h2-upload", "grpc-unary")


def build(cache, name):
    """Into a folder of the cache; cargo knows whether anything is left to do. Why it cannot be had, else nothing."""
    if not shutil.which("cargo"):
        return "cargo is missing"
    if not program(cache, name).exists():
        absent = [tool for tool in TOOLS.get(name, ()) if not shutil.which(tool)]
        if absent:
            return f"missing: apt-get install {' '.join(absent)}"
        print(f"building {name}, which takes minutes at first …", flush=True)
    command = ["cargo", "build", "--locked", "--release", "--manifest-path", WORKSPACE / "Cargo.toml", "-p", f"peer-{name}"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(cache / "peers")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        wrong = [line for line in done.stderr.splitlines() if line.startswith("error")]
        return f"cargo build: {(wrong or ['failed'])[0]}"
    return None


def program(cache, name):
    return cache / f"peers/release/peer-{name}"


def version(name):
    packages = tomllib.loads((WORKSPACE / "Cargo.lock").read_text())["package"]
    return f"{name} {next(one['version'] for one in packages if one['name'] == name)}"


def relay(name, port, to, _, options):
    return [program(options.cache, name), f"127.0.0.1:{port}", f"127.0.0.1:{to}"]


def pingora(name, port, to, scenario, options):
    secure = [WORK / "perf.crt", WORK / "perf.key"] if scenario.tls else []
    return [*relay(name, port, to, scenario, options), "2" if scenario.grpc else "1", *secure]
