"""The identity provider whose tokens are taken, as the settings name it."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from hayserve.errors import Misconfigured
from hayserve.server.callers import KnowsTokens
from hayserve.server.sockets import is_loopback
from hayserve.settings import Settings

_NEEDED = ("jwt", "cryptography")


def tokens_of(settings: Settings) -> KnowsTokens | None:
    """What knows the tokens of the provider; None if none is set.

    Raises:
        Misconfigured: What is set cannot be used, or what it needs is not installed.
    """
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    if not issuer:
        _check_that_nothing_is_set_for_nobody(settings)
        return None
    for name, url in (("oidc_issuer", issuer), ("oidc_jwks_url", settings.oidc_jwks_url)):
        _check_url(name, url)
    if not audience:
        raise Misconfigured(
            "HAYSERVE_OIDC_ISSUER is set, and HAYSERVE_OIDC_AUDIENCE is not.",
            hint="Without it, tokens that were made for other servers would be taken here. Set it "
            "to what the identity provider calls this server.",
            param="oidc_audience",
        )
    if any(find_spec(name) is None for name in _NEEDED):
        raise Misconfigured(
            "Tokens of an identity provider need packages that are not installed.",
            hint='pip install "hayserve[oidc]"',
            param="oidc_issuer",
        )
    from hayserve.access.provider import Provider  # noqa: PLC0415  slow, and rarely needed
    from hayserve.access.tokens import Tokens, Trust  # noqa: PLC0415  needs the extra

    trust = Trust(
        audience=audience,
        scope_claim=settings.oidc_scope_claim,
        scope_prefix=settings.oidc_scope_prefix,
        claims=settings.oidc_claims,
    )
    provider = Provider(issuer, may_ask=may_ask, jwks_url=settings.oidc_jwks_url or None)
    return Tokens(provider, trust)


def may_ask(url: str) -> bool:
    """Whether nobody on the way can change what a URL answers."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    )


def _check_url(name: str, url: str | None) -> None:
    if url and not may_ask(url):
        raise Misconfigured(
            f"HAYSERVE_{name.upper()}: {url!r} is no https URL.",
            hint="Whoever can change the keys of the identity provider on their way can let "
            "anybody in. Plain http is for localhost only.",
            param=name,
        )


def _check_that_nothing_is_set_for_nobody(settings: Settings) -> None:
    if settings.oidc_audience or settings.oidc_jwks_url:
        raise Misconfigured(
            "An audience or a URL of keys is set, and HAYSERVE_OIDC_ISSUER is not.",
            hint="Set it to the `iss` of the tokens that are to be taken.",
            param="oidc_issuer",
        )
