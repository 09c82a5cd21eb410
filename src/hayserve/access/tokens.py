"""Verifies the tokens of an identity provider, and says who shows one."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jwt

from hayserve.access.identity import Identity
from hayserve.access.key import digest_of
from hayserve.access.provider import ALGORITHMS, Provider
from hayserve.access.scopes import NONE, Scopes
from hayserve.errors import HayserveError, InvalidRequest, NotReady, Unauthorized
from hayserve.wrappers.caller import Caller

MOST_CHARACTERS = 16_384
MOST_KEPT = 4096
KEPT_SECONDS = 300.0
LEEWAY_SECONDS = 30
_LONGEST_SUBJECT = 255
# Source: https://www.rfc-editor.org/rfc/rfc9068#section-2.1
_TYPES = frozenset({"", "jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_OWNER_DIGITS = 59  # with what is before them 64, as the database has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which tokens of a provider are taken, and what of them counts.

    Args:
        audience: Whom they have to be made for: what the provider calls this server.
        scope_claim: The claim that has the scopes, as a list or a text with spaces between them.
        scope_prefix: What the scopes that are meant for this server begin with there.
        claims: The claims that wrappers get to know.
    """

    audience: str
    scope_claim: str = "scope"
    scope_prefix: str = ""
    claims: Sequence[str] = ()


class Tokens:
    """The tokens of one provider.

    A token that was verified is known for five minutes, at most until it expires; then it is
    verified again, as its key may have been withdrawn.

    Args:
        provider: Has the keys.
        trust: Which of its tokens are taken.
        most_kept: How many of those that were verified are known at a time.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        provider: Provider,
        trust: Trust,
        *,
        most_kept: int = MOST_KEPT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._trust = trust
        self._most_kept = most_kept
        self._clock = clock
        self._verified: OrderedDict[str, tuple[Identity, float]] = OrderedDict()

    def known(self, token: str) -> Identity | None:
        """Who shows a token that was verified before; None if it was not, or too long ago."""
        digest = digest_of(token)
        found = self._verified.get(digest)
        if found is None:
            return None
        identity, until = found
        if until <= self._clock():
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return identity

    async def find(self, token: str) -> Identity | None:
        """Who shows a token; one that is refused if it cannot be used.

        Returns:
            The identity; None if this is no token of the provider.
        """
        header = self._header_of(token)
        if header is None:
            return None
        try:
            claims = await self._verify(token, header)
            identity = self._identity(claims)
        except (Unauthorized, NotReady) as error:
            return _refused(error)
        until = min(int(claims["exp"]) + LEEWAY_SECONDS, self._clock() + KEPT_SECONDS)
        self._verified[digest_of(token)] = identity, until
        if len(self._verified) > self._most_kept:
            self._verified.popitem(last=False)
        return identity

    def _header_of(self, token: str) -> Mapping[str, Any] | None:
        """What it says of itself if it says to be of the provider. Nothing is verified yet."""
        if len(token) > MOST_CHARACTERS:
            return None
        try:
            said = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        header: Mapping[str, Any] = said["header"]
        return header if said["payload"].get("iss") == self._provider.issuer else None

    async def _verify(self, token: str, header: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its claims.

        Source: https://www.rfc-editor.org/rfc/rfc8725#section-3
        """
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise Unauthorized(
                "This token is not signed in a way that is accepted.",
                hint=f"Accepted are {', '.join(ALGORITHMS)}.",
            )
        if str(header.get("typ") or "").lower() not in _TYPES:
            raise Unauthorized("This is no access token.", hint=_NEW)
        key = await self._provider.find(header.get("kid"), algorithm=algorithm)
        if key is None:
            raise Unauthorized("This token is signed with a key that is not known.", hint=_NEW)
        try:
            return jwt.decode(
                token,
                jwt.PyJWK.from_dict(dict(key), algorithm=algorithm),
                algorithms=[algorithm],
                audience=self._trust.audience,
                issuer=self._provider.issuer,
                leeway=LEEWAY_SECONDS,
                options={
                    "require": ["iss", "aud", "exp", "sub"],
                    "enforce_minimum_key_length": True,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise self._reason(error) from error

    def _reason(self, error: Exception) -> Unauthorized:
        match error:
            case jwt.ExpiredSignatureError():
                return Unauthorized("This token has expired.", hint=_NEW)
            case jwt.ImmatureSignatureError():
                hint = "Compare this server's clock with the identity provider's."
                return Unauthorized("This token is not valid yet.", hint=hint)
            case jwt.InvalidAudienceError():
                hint = f"Ask the identity provider for one for {self._trust.audience!r}."
                return Unauthorized("This token is for another audience.", hint=hint)
            case jwt.MissingRequiredClaimError():
                return Unauthorized(f"This token has no claim {error.claim!r}.", hint=_NEW)
            case jwt.InvalidSignatureError() | jwt.InvalidKeyError():
                return Unauthorized("The signature of this token is not valid.", hint=_NEW)
            case _:
                return Unauthorized("This token cannot be used.", hint=_NEW)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        subject: str = claims["sub"]
        if not (0 < len(subject) <= _LONGEST_SUBJECT and subject.isprintable()):
            raise Unauthorized(
                "This token is of a subject that cannot be used.",
                hint=f"It has 1 to {_LONGEST_SUBJECT} characters that can be printed.",
            )
        chosen = {name: claims[name] for name in self._trust.claims if name in claims}
        return Identity(
            caller=Caller("token", subject, chosen),
            owner=_owner(self._provider.issuer, subject),
            scopes=self._scopes(claims.get(self._trust.scope_claim)),
        )

    def _scopes(self, said: object) -> Scopes:
        """Those that mean something here; a provider has others for other servers."""
        words = said.split() if isinstance(said, str) else said
        if not isinstance(words, list):
            return NONE
        prefix = self._trust.scope_prefix
        return Scopes(
            word.removeprefix(prefix)
            for word in cast("list[object]", words)
            if isinstance(word, str)
            and word.startswith(prefix)
            and _is_scope(word.removeprefix(prefix))
        )


_NEW = "Ask the identity provider for a new one."


def _is_scope(word: str) -> bool:
    try:
        Scopes([word])
    except InvalidRequest:
        return False
    return True


def _owner(issuer: str, subject: str) -> str:
    digest = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()
    return f"oidc:{digest[:_OWNER_DIGITS]}"


def _refused(error: HayserveError) -> Identity:
    return Identity(refusal=lambda: error)
