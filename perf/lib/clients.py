"""Those who ask: one look at the answer, then load."""

import http.client
import json
import re
import ssl
import subprocess
import sys

from .children import ROOT, WORK
from .scenarios import KEY, LOAD_CORE, ORIGIN, SCENARIOS, SMALL


def fields(asked):
    """What the guards ask for; of several tokens the first."""
    shown = {"Origin": ORIGIN} if asked.cors else {}
    if asked.key:
        shown["X-Api-Key"] = KEY
    if asked.jwt:
        shown["Authorization"] = "Bearer " + (WORK / "tokens").read_text().partition("\n")[0]
    return shown


def check(name, port, scenario):
    """A wrong answer is not measured."""
    asked = SCENARIOS[scenario]
    if asked.client == "h2load":
        return check_h2(name, port, scenario)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    if asked.tls:
        client = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=ssl._create_unverified_context())
    client.request(*(("POST", asked.path, b"x" * 4096) if asked.script == "post.lua" else ("GET", asked.path)), headers=fields(asked))
    if asked.tls and client.sock.version() != "TLSv1.3":
        sys.exit(f"{name}, {scenario}: {client.sock.version()} instead of TLSv1.3")
    answer = client.getresponse()
    body = answer.read()
    if answer.status != 200 or len(body) != asked.size:
        sys.exit(f"{name}, {scenario}: status {answer.status} and {len(body)} bytes instead of 200 and {asked.size}: {body[:200]!r}")
    told = [answer.getheader("Access-Control-" + name) for name in ("Allow-Origin", "Expose-Headers")]
    if asked.of(name).cors and (told != [ORIGIN, "x-pet"] or answer.getheader("Vary") != "Origin"):
        sys.exit(f"{name}, {scenario}: of origins it tells {told}")
    client.close()


def check_h2(name, port, scenario):
    """Likewise; a gRPC answer has its trailers."""
    asked = SCENARIOS[scenario]
    told = " version %{http_version} status %{http_code} size %{size_download}"
    url, body = f"https://127.0.0.1:{port}{asked.path}", f"{WORK}/body-{asked.body}"
    command = ["curl", "-sk", "--http2", "-m5", "-w", told, url, *(["--data-binary", f"@{body}"] if asked.body else [])]
    wanted = [f"version 2 status 200 size {asked.size}"]
    if asked.grpc:
        # curl does not show the trailers of HTTP/2.
        command = ["nghttp", "-v", "-t5", "-H", "content-type: application/grpc", "-H", "te: trailers", "-d", body, url]
        wanted = [":status: 200", "grpc-status: 0", SMALL]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    if not all(part in text for part in wanted):
        sys.exit(f"{name}, {scenario}: not the answer over HTTP/2 that was expected:\n{text[-1000:]}")


def load(port, scenario, seconds):
    """Requests for so long: how many there were, and how long they took."""
    return {"wrk": wrk, "h2load": h2load, "handshakes": handshakes}[SCENARIOS[scenario].client](port, scenario, seconds)


def handshakes(port, scenario, seconds):
    asked = SCENARIOS[scenario]
    command = ["taskset", "-c", str(LOAD_CORE), ROOT / "perf/handshakes", *map(str, (port, asked.path, seconds, asked.connections, asked.script))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"perf/handshakes failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def h2load(port, scenario, seconds):
    """h2load knows the mean of the times alone."""
    asked = SCENARIOS[scenario]
    command = ["taskset", "-c", str(LOAD_CORE), "h2load", "-t1", f"-c{asked.connections}", f"-m{asked.streams}", f"-D{seconds}"]
    if asked.body:
        command += ["-d", str(WORK / f"body-{asked.body}")]
    if asked.grpc:
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    done = subprocess.run([*command, f"https://127.0.0.1:{port}{asked.path}"], capture_output=True, text=True, check=False)
    text = done.stdout
    total = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    rate = re.search(r"finished in [^,]*, ([\d.]+) req/s", text)
    if done.returncode or not total or not rate or "Application protocol: h2" not in text:
        sys.exit(f"h2load failed:\n{text}{done.stderr}")
    _, succeeded, *wrong = map(int, total.groups())
    unknown = float("nan")
    return {"requests": succeeded, "rate": float(rate.group(1)), "p50": unknown, "p99": unknown, "errors": sum(wrong)}


def wrk(port, scenario, seconds):
    asked = SCENARIOS[scenario]
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{asked.connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    command += ["-s", str(WORK / asked.script)] if asked.script else []
    command += [part for field in fields(asked).items() for part in ("-H", ": ".join(field))]
    scheme = "https" if asked.tls else "http"
    done = subprocess.run([*command, f"{scheme}://127.0.0.1:{port}{asked.path}"], capture_output=True, text=True, check=False, cwd=WORK)
    text = done.stdout
    total = re.search(r"(\d+) requests in ([\d.]+)(m?s)", text)
    if done.returncode or not total:
        sys.exit(f"wrk failed:\n{text}{done.stderr}")
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    unit = {"us": 1, "ms": 1e3, "s": 1e6}
    latency = {}
    for percent in ("50", "99"):
        value, scale = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text).groups()
        latency[percent] = float(value) * unit[scale]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    return {"requests": int(total.group(1)), "rate": rate, "p50": latency["50"], "p99": latency["99"], "errors": errors}
