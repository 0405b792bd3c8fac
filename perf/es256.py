"""A key of an issuer and tokens that it signs, by the openssl command: what perf needs to show a token."""

import base64
import json
import subprocess
import time
from pathlib import Path


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def issue(folder, issuer, audience, hours=24):
    """Writes `keys.json` into the folder; returns a token that its key has signed (RFC 7515, 7518 §3.4)."""
    folder = Path(folder)
    key = folder / "issuer.pem"
    quiet = {"check": True, "capture_output": True}
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], **quiet)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], **quiet).stdout
    x, y = public[-64:-32], public[-32:]
    keys = {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "perf", "x": url64(x), "y": url64(y)}]}
    (folder / "keys.json").write_text(json.dumps(keys))
    now = int(time.time())
    claims = {"iss": issuer, "aud": audience, "sub": "perf", "iat": now - 60, "exp": now + hours * 3600, "scope": "read"}
    parts = [url64(json.dumps(part).encode()) for part in ({"alg": "ES256", "kid": "perf", "typ": "JWT"}, claims)]
    signed = ".".join(parts)
    der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=signed.encode(), **quiet).stdout
    return f"{signed}.{url64(numbers(der))}"


def numbers(der):
    """The two numbers of a DER signature, 32 bytes each."""
    out, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        out += der[at + 2 : at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length
    return out
