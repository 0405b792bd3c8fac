"""What is asked of whom."""

from typing import NamedTuple

PROXY_CORE, LOAD_CORE = 0, 1
SMALL = "x" * 128
ROUTES = 1000
TOKENS = 40_000  # of which a worker of Tollgate remembers 4,096
FOREVER = 1_000_000_000  # requests per connection: none of them closes a connection during a run


class Scenario(NamedTuple):
    """What is asked, and by whom."""

    connections: int
    path: str
    shows: str
    size: int = 128  # bytes of the answer
    routes: int = 0  # with a path parameter, beside the others
    script: str | None = None  # of wrk; which of both handshakes
    client: str = "wrk"  # or h2load, or handshakes
    tls: bool = False
    streams: int = 1  # at once on a connection of h2load
    body: int = 0  # bytes that h2load sends with each request
    grpc: bool = False
    cors: bool = False  # pages of another origin ask, and are let in
    throttle: bool = False
    latency: bool = False  # also asked for at half of saturation
    key: bool = False  # an API key is shown, of a plan with a throttle and a quota
    jwt: str = ""  # a token is shown, signed so
    tokens: int = 1  # different ones, in rotation
    fence: bool = False  # a policy keeps 1,000 ranges of addresses out
    log: bool = False  # Tollgate writes its access log
    plain: tuple[str, ...] = ()  # who has none of these

    def of(self, peer):
        """What this peer does of it."""
        return Scenario(self.connections, self.path, self.shows, self.size) if peer in self.plain else self


SCENARIOS = {
    "get-64": Scenario(64, "/b/128", "GET, 128 B, 64 connections", latency=True),
    "get-512": Scenario(512, "/b/128", "GET, 128 B, 512 connections"),
    "get-16k": Scenario(64, "/b/16384", "GET, 16 KiB, 64 connections", size=16384, latency=True),
    "post-4k": Scenario(64, "/post", "POST of 4 KiB, 64 connections", script="post.lua", latency=True),
    "mock": Scenario(64, "/mock", "an answer of the gateway's own"),
    "routes-1000": Scenario(64, "/s1/items/1/view", "1,000 routes with a path parameter, paths in rotation", routes=ROUTES, script="routes.lua"),
    "cors-get": Scenario(64, "/b/128", "GET of a page of another origin (CORS), 128 B, 64 connections", cors=True),
    "throttle": Scenario(64, "/b/128", "GET, 128 B, 64 connections, each request counted for its client's address and for all", throttle=True),
    "key": Scenario(64, "/b/128", "GET with an API key, its plan's throttle and quota, 128 B, 64 connections", key=True),
    "jwt-es256": Scenario(64, "/b/128", "GET with one token of ES256, remembered or verified each time, 128 B, 64 connections", jwt="ES256"),
    "jwt-rs256": Scenario(64, "/b/128", "GET with one token of RS256, remembered or verified each time, 128 B, 64 connections", jwt="RS256"),
    "jwt-cold": Scenario(64, "/b/128", f"GET with {TOKENS:,} tokens of ES256 in rotation, nearly all of them verified, 128 B, 64 connections",
                         script="cold.lua", jwt="ES256", tokens=TOKENS),
    "guards": Scenario(64, "/b/128", "GET with a key, its plan's throttle and quota, a remembered token of ES256, CORS, a policy of 1,000 ranges and the"
                       " access log, 128 B, 64 connections; nginx has none of them", key=True, jwt="ES256", cors=True, fence=True, log=True,
                       plain=("nginx",)),
    "tls-get": Scenario(64, "/b/128", "GET over TLS 1.3, 128 B, 64 kept connections", tls=True),
    "tls-full": Scenario(16, "/mock", "full TLS 1.3 handshakes (ECDSA P-256), each with one answer of its own", tls=True, client="handshakes",
                         script="full"),
    "tls-resumed": Scenario(16, "/mock", "resumed TLS 1.3 handshakes, each with one answer of its own", tls=True, client="handshakes",
                            script="resumed"),
    "h2-get": Scenario(16, "/b/128", "GET over HTTP/2 and TLS, 128 B, 16 connections with 16 streams", tls=True, client="h2load", streams=16),
    "h2-upload": Scenario(8, "/post", "POST of 256 KiB over HTTP/2 and TLS, 8 connections with 4 streams", tls=True, client="h2load", streams=4,
                          body=256 * 1024),
    "grpc-unary": Scenario(16, "/perf.Echo/Say", "gRPC, unary, HTTP/2 on both sides, TLS in front, 16 connections with 16 streams", tls=True,
                           client="h2load", streams=16, body=64, grpc=True),
}

KEY = "perf-0123456789-0123456789-abcdef"
RANGES = [f"10.{n // 250}.{n % 250}.0/24" for n in range(1000)]
ORIGIN = "https://app.example.com"  # the last of those that are let in
ORIGINS = [f"https://app{n}.example.com" for n in range(9)] + [ORIGIN]

LUA = {
    # Requests are made before the first is sent: wrk shares its core with the backend.
    "cold.lua": """local asked, n = {}, 0
function init()
  for token in io.lines("tokens") do
    wrk.headers["Authorization"] = "Bearer " .. token
    asked[#asked + 1] = wrk.format()
  end
end
function request()
  n = n % #asked + 1
  return asked[n]
end
""",
    "post.lua": 'wrk.method = "POST"\nwrk.body = string.rep("x", 4096)\nwrk.headers["Content-Type"] = "application/octet-stream"\n',
    "routes.lua": "local n = 0\nfunction request()\n  n = n + 1\n"
    f'  return wrk.format("GET", "/s" .. (n % {ROUTES}) .. "/items/" .. (n % 30011) .. "/view")\nend\n',
}
