"""An identity provider on a port of this machine, and the tokens that it makes."""

import base64
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "hayserve"
KEYS, DISCOVERY = "/keys", "/.well-known/openid-configuration"
SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


RSA = rsa_key()
EC = ec.generate_private_key(ec.SECP256R1())
P384, P521 = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP521R1())
ED = ed25519.Ed25519PrivateKey.generate()


def jwk_of(key: SigningKey, kid: str | None, **fields: Any) -> dict[str, Any]:
    """A key as a provider publishes it."""
    public: Any = key.public_key()
    match key:
        case rsa.RSAPrivateKey():
            told = RSAAlgorithm.to_jwk(public, as_dict=True)
        case ec.EllipticCurvePrivateKey():
            told = ECAlgorithm.to_jwk(public, as_dict=True)
        case _:
            told = OKPAlgorithm.to_jwk(public, as_dict=True)
    told.pop("key_ops", None)
    return {**told, **({} if kid is None else {"kid": kid}), **fields}


@dataclass
class FakeProvider:
    """What it answers, and what it was asked."""

    issuer: str = ""
    keys: list[Any] = field(default_factory=lambda: [jwk_of(RSA, "rsa"), jwk_of(EC, "ec")])
    answers: dict[str, bytes] = field(default_factory=dict[str, bytes])
    status: int = 200
    asked: list[str] = field(default_factory=list[str])
    may_answer: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str) -> bytes:
        if path in self.answers:
            return self.answers[path]
        if path == KEYS:
            return json.dumps({"keys": self.keys}).encode()
        return json.dumps({"issuer": self.issuer, "jwks_uri": f"{self.issuer}{KEYS}"}).encode()

    @property
    def times_asked(self) -> int:
        return self.asked.count(KEYS)

    def token(
        self,
        key: Any = RSA,
        *,
        kid: str | None = "rsa",
        algorithm: str = "RS256",
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token; a claim that is None is left out, one that is a `timedelta` is from now on."""
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "ada",
            "exp": now + 600,
            "iat": now,
            "scope": "run",
            **claims,
        }
        payload = {
            name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
            for name, value in said.items()
            if value is not None
        }
        headers = {**({} if kid is None else {"kid": kid}), **(header or {})}
        return jwt.encode(payload, key, algorithm=algorithm, headers=headers)


@contextmanager
def providing(**fields: Any) -> Generator[FakeProvider]:
    """Such a provider, for as long as the block lasts."""
    provider = FakeProvider(**fields)
    provider.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            assert provider.may_answer.wait(20)
            content = provider.answer(self.path)
            self.send_response(provider.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                return  # whoever asked has enough

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = provider.issuer or f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        provider.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()


def raw(part: object) -> str:
    """A part of a token, not looked at by anything that makes tokens."""
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
