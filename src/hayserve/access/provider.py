"""The keys that an identity provider signs with, asked for when one is needed and no more often."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

import anyio
import httpx2

from hayserve.errors import NotReady

logger = logging.getLogger("hayserve.access")

# What a key has to be for each algorithm; none of them lets those sign who can only verify.
# Source: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
        "ES256": ("EC", "P-256"),
        "ES384": ("EC", "P-384"),
        "ES512": ("EC", "P-521"),
        "EdDSA": ("OKP", "Ed25519"),
    }
)
PAUSE_SECONDS = 10.0
FRESH_SECONDS = 300.0
_ANSWER_SECONDS = 5.0
_MOST_BYTES = 1_000_000
_OK = 200

Jwk = Mapping[str, Any]


class Provider:
    """An identity provider, as far as it publishes its keys.

    It is asked at most every ten seconds, whatever is sent to the server, and at least every five
    minutes if tokens are verified; while it does not answer the keys that are known go on.

    Args:
        issuer: What it calls itself, and where it says more.
            Source: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
        may_ask: Whether what a URL answers can be trusted to be its owner's.
        jwks_url: Where its keys are; by default it is asked for that, too.
        clock: Seconds since some moment.
    """

    def __init__(
        self,
        issuer: str,
        *,
        may_ask: Callable[[str], bool],
        jwks_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._may_ask = may_ask
        self._jwks_url = jwks_url
        self._clock = clock
        self._tls = httpx2.create_ssl_context()  # which takes too long for an event loop
        self._asking = anyio.Lock()
        self._keys: Sequence[Jwk] = ()
        self._asked_at = self._answered_at = -float("inf")

    async def find(self, kid: str | None, *, algorithm: str) -> Jwk | None:
        """The key that a token says it is signed with.

        Args:
            kid: What the token calls it; None if the token does not say, and there is only one.
            algorithm: How it is signed: one of `ALGORITHMS`.

        Raises:
            NotReady: No such key is known, and the provider does not answer.
        """
        found = self._known(kid, algorithm)
        is_old = self._clock() - self._answered_at >= FRESH_SECONDS
        if found is not None and (not is_old or self._asking.locked()):
            return found
        async with self._asking:
            if self._clock() - self._asked_at >= PAUSE_SECONDS:
                await self._ask()
        found = self._known(kid, algorithm)
        if found is None and self._answered_at < self._asked_at:
            raise NotReady(
                "The identity provider of this token does not answer, so it cannot be verified.",
                hint="Try again later.",
            )
        return found

    def _known(self, kid: str | None, algorithm: str) -> Jwk | None:
        fitting = [
            key
            for key in self._keys
            if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)
        ]
        return fitting[0] if fitting and (kid is not None or len(fitting) == 1) else None

    async def _ask(self) -> None:
        self._asked_at = self._clock()
        try:
            # Nobody can make the server ask anew by leaving while it does.
            with anyio.fail_after(_ANSWER_SECONDS, shield=True):
                self._keys = await self._fetched()
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RecursionError) as error:
            because = str(error) or type(error).__name__
            extra = {"issuer": self.issuer, "because": because, "keys_known": len(self._keys)}
            logger.warning("identity_provider_does_not_answer", extra=extra)
        else:
            self._answered_at = self._asked_at

    async def _fetched(self) -> Sequence[Jwk]:
        async with httpx2.AsyncClient(verify=self._tls, timeout=_ANSWER_SECONDS) as http:
            url = self._jwks_url or await self._discovered(http)
            found = (await self._read(http, url)).get("keys")
        if not isinstance(found, list):
            raise ValueError(f"{url} has no list of keys")  # noqa: TRY004 - it is data
        keys = [cast("Jwk", key) for key in cast("list[object]", found) if isinstance(key, dict)]
        return [key for key in keys if key.get("use", "sig") == "sig"]

    async def _discovered(self, http: httpx2.AsyncClient) -> str:
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        said = await self._read(http, url)
        if said.get("issuer") != self.issuer:
            raise ValueError(f"{url} is about the issuer {said.get('issuer')!r}")
        return str(said.get("jwks_uri"))

    async def _read(self, http: httpx2.AsyncClient, url: str) -> dict[str, Any]:
        if not self._may_ask(url):
            raise ValueError(f"{url!r} is no https URL")
        content = bytearray()
        # Not compressed, as little can become much.
        async with http.stream("GET", url, headers={"accept-encoding": "identity"}) as answer:
            if answer.status_code != _OK:
                raise ValueError(f"{url} answers {answer.status_code}")
            async for chunk in answer.aiter_raw():
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise ValueError(f"{url} answers more than {_MOST_BYTES} bytes")
        said = json.loads(content)
        if not isinstance(said, dict):
            raise ValueError(f"{url} answers no object")  # noqa: TRY004 - it is data
        return cast("dict[str, Any]", said)


def _fits(key: Jwk, algorithm: str) -> bool:
    kind, curve = ALGORITHMS[algorithm]
    return (
        key.get("kty") == kind
        and key.get("alg", algorithm) == algorithm
        and (curve is None or key.get("crv") == curve)
    )
