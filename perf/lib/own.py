"""perf/load, the generator of our own: cheaper than wrk, so that more of core 1 is left for the backend; and the one that keeps a rate."""

import json
import os
import subprocess
import sys

from .children import ROOT, WORK
from .clients import fields
from .scenarios import LOAD_CORE, ROUTES, SCENARIOS

PATHS = 30_011  # as many different paths in rotation as wrk's script has


def program(options):
    return options.cache / "load/release/load"


def build(options):
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path", ROOT / "perf/load/Cargo.toml"]
    subprocess.run(command, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(options.cache / "load")})


def routes():
    file = WORK / "routes.paths"
    if not file.exists():
        file.write_text("".join(f"/s{n % ROUTES}/items/{n}/view\n" for n in range(PATHS)))
    return file


def tokens():
    file = WORK / "tokens.fields"
    file.write_text("".join(f"Authorization: Bearer {token}\n" for token in (WORK / "tokens").read_text().splitlines()))
    return file


# What wrk's scripts do, as options.
WORDS = {
    None: lambda: [],
    "cold.lua": lambda: ["--fields", tokens()],
    "post.lua": lambda: ["-m", "POST", "-b", "4096", "-H", "Content-Type: application/octet-stream"],
    "routes.lua": lambda: ["--paths", routes()],
}


def can(scenario):
    """It has no TLS, no HTTP/2, and knows no script of wrk that is not above."""
    asked = SCENARIOS[scenario]
    return asked.client == "wrk" and not asked.tls and asked.script in WORDS


def load(options, port, scenario, seconds, rate=None, warm=0):
    """As `clients.load`; with a rate latencies count from when each request was due."""
    asked = SCENARIOS[scenario]
    command = [program(options), "--json", "--core", LOAD_CORE, "-c", asked.connections, "-d", seconds, "-w", warm, "--size", asked.size]
    command += ["-r", rate] if rate else []
    shown = {name: value for name, value in fields(asked).items() if asked.tokens == 1 or name != "Authorization"}
    command += [part for field in shown.items() for part in ("-H", ": ".join(field))]
    command += [*WORDS[asked.script](), f"127.0.0.1:{port}", *([] if asked.routes else [asked.path])]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        sys.exit(f"perf/load failed:\n{done.stdout}{done.stderr}")
    told = json.loads(done.stdout)
    errors = {name: count for name, count in told["errors"].items() if name != "fault" and count}
    if errors:
        print(f"  {scenario}: perf/load tells of {errors} {told['errors']['fault'] or ''}", flush=True)
    return {"requests": told["answers"], "rate": told["rate"], "cost": told["cpu_us"], "latency": told["latency_us"], "late": told["late_us"],
            "errors": sum(errors.values())}
