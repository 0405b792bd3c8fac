"""The key of an issuer, and tokens that it signs: what perf needs to show them. Nobody's secrets: the key lives as long as a run."""

import base64
import hashlib
import json
import secrets
import subprocess
import time
from pathlib import Path

# The curve P-256 (FIPS 186-4), for as many signatures as a cold cache wants: a process of openssl for each would take an hour.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)
SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")  # what stands before the point in a public key's file


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def plus(a, b):
    """Of two points, neither of them at infinity, nor the one the other's opposite."""
    (x1, y1), (x2, y2) = a, b
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) if a == b else (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def times(factor):
    """So many times the base point."""
    doubled, sum_ = BASE, None
    while factor:
        if factor & 1:
            sum_ = plus(sum_, doubled) if sum_ else doubled
        doubled, factor = plus(doubled, doubled), factor >> 1
    return sum_


def es256():
    """The public key as a file and as a JWK, and who signs."""
    secret, once = (secrets.randbelow(ORDER >> 1) + 1 for _ in range(2))
    point = b"".join(part.to_bytes(32, "big") for part in times(secret))
    at = [once, times(once)]

    def sign(message):
        # The next nonce is one more, and its point one step further: cheap, and good for keys that protect nothing.
        at[0], at[1] = at[0] + 1, plus(at[1], BASE)
        r = at[1][0] % ORDER
        s = pow(at[0], -1, ORDER) * (int.from_bytes(hashlib.sha256(message).digest(), "big") + r * secret) % ORDER
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(SPKI + point).decode()}-----END PUBLIC KEY-----\n"
    return pem, {"kty": "EC", "crv": "P-256", "x": url64(point[:32]), "y": url64(point[32:])}, sign


def rs256():
    """Likewise."""
    run = lambda words, data=None: subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout
    key = run(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    modulus = run(["rsa", "-noout", "-modulus"], key).decode().partition("=")[2].strip()

    def sign(message):
        file = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
        file /= f"perf-{secrets.token_hex(8)}.pem"
        try:
            file.write_bytes(key)
            return run(["dgst", "-sha256", "-sign", str(file)], message)
        finally:
            file.unlink(missing_ok=True)

    return run(["pkey", "-pubout"], key).decode(), {"kty": "RSA", "n": url64(bytes.fromhex(modulus)), "e": "AQAB"}, sign


def issue(folder, issuer, audience, algorithm="ES256", count=1, hours=24):
    """Writes `keys.json` and `issuer.pem`, the public key, into the folder; returns so many different tokens (RFC 7515)."""
    pem, key, sign = {"ES256": es256, "RS256": rs256}[algorithm]()
    keys = {"keys": [{"alg": algorithm, "use": "sig", "kid": "perf"} | key]}
    (Path(folder) / "keys.json").write_text(json.dumps(keys))
    (Path(folder) / "issuer.pem").write_text(pem)
    now = int(time.time())
    tokens = []
    for number in range(count):
        claims = {"iss": issuer, "aud": audience, "sub": "perf", "iat": now - 60, "exp": now + hours * 3600,
                  "scope": "read openid profile email", "jti": f"{number:036}"}
        signed = ".".join(url64(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": "perf", "typ": "JWT"}, claims))
        tokens.append(f"{signed}.{url64(sign(signed.encode()))}")
    return tokens
