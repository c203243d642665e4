"""Who asks: tokens that Portcullis makes, and RS256 tokens made here for the gateways that verify those.

Python's standard library does not sign, and a process of openssl for each of a thousand tokens takes
longer than the arithmetic: RFC 8017, section 8.2.1, with the numbers of a key that openssl made. It is
fast enough for a benchmark, and guards nothing.
"""

import base64
import hashlib
import json
import re
import subprocess
import time

ISSUER, AUDIENCE = "https://compare.example.com", "compare"

# What stands before a SHA-256 digest in a signature (RFC 8017, section 9.2, note 1).
SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Rsa:
    """A key pair of 2048 bits, and its public half as others read it."""

    def __init__(self, folder, name):
        private, self.public = folder / f"{name}.pem", folder / f"{name}.pub"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
        openssl("pkey", "-in", private, "-pubout", "-out", self.public)
        text = openssl("rsa", "-in", private, "-noout", "-text")
        number = lambda label: int(re.sub(r"[\s:]", "", re.search(label + r":\n((?:\s+[0-9a-f:]+\n)+)", text)[1]), 16)  # noqa: E731
        self.name, self.modulus = name, number("modulus")
        self.primes = number("prime1"), number("prime2")
        self.exponents = number("exponent1"), number("exponent2")
        self.coefficient = number("coefficient")

    def sign(self, message):
        digest = SHA256 + hashlib.sha256(message).digest()
        padded = b"\0\1" + b"\xff" * (256 - 3 - len(digest)) + b"\0" + digest
        value = int.from_bytes(padded, "big")
        (p, q), (dp, dq) = self.primes, self.exponents
        one, two = pow(value % p, dp, p), pow(value % q, dq, q)
        return (two + q * ((one - two) * self.coefficient % p)).to_bytes(256, "big")

    def token(self, number, role):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"service-account-{number:06}", "role": role,
                  "iat": now, "nbf": now, "exp": now + 86400, "jti": f"0192f0c1-7a3e-7b4c-9d21-{number:012x}"}
        parts = [{"alg": "RS256", "typ": "JWT", "kid": self.name}, claims]
        message = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in parts).encode()
        return message.decode() + "." + encode(self.sign(message))

    def jwks(self):
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.name, "e": "AQAB",
               "n": encode(self.modulus.to_bytes(256, "big"))}
        return json.dumps({"keys": [key]})


def openssl(*arguments):
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def certificate(folder):
    """A certificate for TLS in front, and its key: ECDSA over P-256, as most are today."""
    place, key = folder / "front.crt", folder / "front.key"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-out", place, "-keyout", key)
    # HAProxy wants both in one file.
    (folder / "front.pem").write_text(place.read_text() + key.read_text())
    return place, key


def of_peers(folder, setup):
    """Authorization headers for those who verify RS256, and the key they verify by."""
    ours = Rsa(folder, "ours")
    fault = setup.work.fault
    if fault in ("none", "malformed"):
        return bad(fault), ours
    signer = Rsa(folder, "theirs") if fault == "unknown key" else ours
    role = "nothing" if fault == "no permission" else "everything"
    return [f"Bearer {signer.token(number, role)}" for number in range(1 if fault else setup.tokens)], ours


def of_portcullis(folder, command, connection, setup):
    """Authorization headers for ours, from its own token endpoint."""
    fault = setup.work.fault
    if fault in ("none", "malformed"):
        return bad(fault)
    roles = [] if fault == "no permission" else ["--role", "everything"]
    run = lambda *arguments: subprocess.run([*command, *arguments], check=True, capture_output=True).stdout  # noqa: E731
    run("accounts", "create", "bench", *roles)
    key = json.loads(run("keys", "create", "bench", "-o", "json"))
    issued = issue(connection, key, 1 if fault else setup.tokens)
    if fault == "unknown key":
        issued = [of_somebody_else(token) for token in issued]
    return [f"Bearer {token}" for token in issued]


def bad(fault):
    return [] if fault == "none" else ["Bearer not-a-token"]


def issue(connection, key, count):
    """As many different tokens of one key."""
    secret = base64.b64encode(f"{key['id']}:{key['secret']}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"}
    found = set()
    while len(found) < count:
        connection.request("POST", "/oauth/token", "grant_type=client_credentials", headers)
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, f"no token: {response.status} {body}"
        found.add(json.loads(body)["access_token"])
    return sorted(found)


def of_somebody_else(token):
    """The token with another key's name in its header: what a stranger with a key of their own brings."""
    header, rest = token.split(".", 1)
    fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    fields["kid"] = fields["kid"][::-1]
    return encode(json.dumps(fields, separators=(",", ":")).encode()) + "." + rest
