"""A token says who calls if its provider has signed it, for this server, and its time has come."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from access.identity_provider import (
    AUDIENCE,
    EC,
    ED,
    P384,
    P521,
    RSA,
    FakeProvider,
    jwk_of,
    providing,
    raw,
    rsa_key,
)
from hayserve.access.identity import Identity
from hayserve.access.provider import Provider
from hayserve.access.tokens import KEPT_SECONDS, MOST_CHARACTERS, MOST_KEPT, Tokens, Trust
from hayserve.errors import HayserveError, NotReady, Unauthorized
from hayserve.wrappers.caller import Caller

pytestmark = pytest.mark.anyio

STRANGER_KEY = rsa_key()


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with providing() as fake:
        yield fake


@pytest.fixture
def tokens(fake: FakeProvider) -> Tokens:
    return tokens_of(fake)


def tokens_of(
    fake: FakeProvider, *, clock: Any = time.time, most_kept: int = MOST_KEPT, **trust: Any
) -> Tokens:
    provider = Provider(fake.issuer, may_ask=lambda _: True)
    return Tokens(
        provider, Trust(**{"audience": AUDIENCE, **trust}), most_kept=most_kept, clock=clock
    )


async def found(tokens: Tokens, token: str) -> Identity:
    """Who shows a token that is taken."""
    identity = await tokens.find(token)
    assert identity is not None
    assert identity.refusal is None
    return identity


async def why(tokens: Tokens, token: str) -> str:
    """Why a token is refused; it is so each time."""
    return (await refused(tokens, token)).message


async def refused(tokens: Tokens, token: str) -> HayserveError:
    identity = await tokens.find(token)
    assert identity is not None
    assert identity.refusal is not None
    assert (identity.caller, identity.owner, identity.scopes.words) == (Caller(), "", ())
    assert tokens.known(token) is None
    return identity.refusal()


async def test_a_token_says_who_calls(fake: FakeProvider, tokens: Tokens) -> None:
    identity = await found(tokens, fake.token(scope="run:agent deploy"))
    assert identity.caller == Caller("token", "ada")
    assert identity.label == "token ada"
    assert identity.scopes.words == ("run:agent", "deploy")
    assert not identity.budget
    assert identity.owner.startswith("oidc:")
    assert len(identity.owner) == 64


async def test_whoever_has_the_subject_owns_what_its_tokens_leave(
    fake: FakeProvider, tokens: Tokens
) -> None:
    ada, again, bob = [
        await found(tokens, fake.token(sub=name, exp=timedelta(seconds=seconds)))
        for name, seconds in (("ada", 60), ("ada", 90), ("bob", 60))
    ]
    assert ada.owner == again.owner
    assert ada.owner != bob.owner
    with providing(issuer="https://other.example", keys=fake.keys) as other:
        other_tokens = tokens_of(other)
        assert (await other_tokens.find(fake.token())) is None


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        *((RSA, name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (EC, "ES256"),
        (P384, "ES384"),
        (P521, "ES512"),
        (ED, "EdDSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_algorithm_is_verified(
    fake: FakeProvider, tokens: Tokens, *, key: Any, algorithm: str
) -> None:
    fake.keys = [jwk_of(key, "it")]
    good = fake.token(key, kid="it", algorithm=algorithm)
    head, payload, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    tampered = raw({**claims, "scope": "admin"})
    assert (await found(tokens, good)).caller.name == "ada"
    assert "signature" in await why(tokens, f"{head}.{tampered}.{signature}")
    assert "signature" in await why(tokens, f"{head}.{payload}.{raw(b'x' * 64)}")


async def test_a_key_of_somebody_else_does_not_do(fake: FakeProvider, tokens: Tokens) -> None:
    assert await why(tokens, fake.token(STRANGER_KEY)) == (
        "The signature of this token is not valid."
    )


async def test_a_token_that_is_not_signed_is_refused(fake: FakeProvider, tokens: Tokens) -> None:
    said = jwt.decode(fake.token(), options={"verify_signature": False})
    for name in ("none", "None", "NONE", "", None, ["RS256"], 1):
        head = raw({"alg": name, "kid": "rsa"})
        for signature in ("", raw(b"x")):
            reason = await why(tokens, f"{head}.{raw(said)}.{signature}")
            assert reason == "This token is not signed in a way that is accepted."
    assert fake.asked == []


async def test_the_public_key_is_no_secret_to_sign_with(fake: FakeProvider, tokens: Tokens) -> None:
    said = jwt.decode(fake.token(), options={"verify_signature": False})
    public = RSA.public_key()
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    for secret in (public.public_bytes(pem, form), public.public_bytes(der, form)):
        for name in ("HS256", "RS256"):
            signed = f"{raw({'alg': name, 'kid': 'rsa'})}.{raw(said)}"
            mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
            assert "sign" in await why(tokens, f"{signed}.{raw(mac)}")


async def test_a_provider_that_publishes_a_secret_signs_nothing_with_it(
    fake: FakeProvider, tokens: Tokens
) -> None:
    secret = b"x" * 32
    fake.keys = [{"kty": "oct", "kid": "rsa", "k": raw(secret), "alg": "HS256"}]
    assert "accepted" in await why(tokens, fake.token(secret, algorithm="HS256"))


async def test_a_weak_key_signs_nothing(fake: FakeProvider, tokens: Tokens) -> None:
    weak = rsa_key(1024)
    fake.keys = [jwk_of(weak, "rsa")]
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = fake.token(weak)
    assert "signature" in await why(tokens, token)


async def test_a_key_that_cannot_be_read_signs_nothing(fake: FakeProvider, tokens: Tokens) -> None:
    fake.keys = [{"kty": "RSA", "kid": "rsa", "n": 1}]
    assert "signature" in await why(tokens, fake.token())


def soon(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "This token has expired."),
        ({"exp": soon(-31)}, "This token has expired."),
        ({"exp": None}, "This token has no claim 'exp'."),
        ({"exp": "never"}, "This token cannot be used."),
        ({"exp": float("inf")}, "This token cannot be used."),
        ({"exp": [1]}, "This token cannot be used."),
        ({"nbf": soon(300)}, "This token is not valid yet."),
        ({"iat": soon(300)}, "This token is not valid yet."),
        ({"iat": "x"}, "This token cannot be used."),
        ({"aud": "other"}, "This token is for another audience."),
        ({"aud": ["other", "another"]}, "This token is for another audience."),
        ({"aud": {AUDIENCE: 1}}, "This token is for another audience."),
        ({"aud": None}, "This token has no claim 'aud'."),
        ({"aud": []}, "This token has no claim 'aud'."),
        ({"sub": None}, "This token has no claim 'sub'."),
        ({"sub": ""}, "This token is of a subject that cannot be used."),
        ({"sub": "x" * 256}, "This token is of a subject that cannot be used."),
        ({"sub": "a\nb"}, "This token is of a subject that cannot be used."),
        ({"sub": "\ud800"}, "This token is of a subject that cannot be used."),
    ],
    ids=range(19),
)
async def test_a_token_that_cannot_be_used_is_refused_with_the_reason(
    fake: FakeProvider, tokens: Tokens, *, claims: dict[str, Any], reason: str
) -> None:
    error = await refused(tokens, fake.token(**claims))
    assert (type(error), error.message) == (Unauthorized, reason)
    assert error.hint


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": soon(-5)},
        {"nbf": soon(20), "iat": soon(20)},
        {"aud": ["other", AUDIENCE]},
        {"iat": None},
        {"sub": "x" * 255},
        {"sub": "auth0|Ada Lovelace"},
    ],
    ids=range(6),
)
async def test_a_token_that_can_be_used_is_taken(
    fake: FakeProvider, tokens: Tokens, claims: dict[str, Any]
) -> None:
    identity = await found(tokens, fake.token(**claims))
    assert identity.caller.name == claims.get("sub", "ada")


async def test_a_subject_is_a_text(fake: FakeProvider, tokens: Tokens) -> None:
    payload = {"iss": fake.issuer, "aud": AUDIENCE, "exp": 2**40, "sub": 1}
    token = jwt.api_jws.encode(json.dumps(payload).encode(), RSA, "RS256", {"kid": "rsa"})
    assert await why(tokens, token) == "This token cannot be used."


async def test_a_token_that_is_for_something_else_is_refused(
    fake: FakeProvider, tokens: Tokens
) -> None:
    for kind in ("dpop+jwt", "logout+jwt", 1):
        assert await why(tokens, fake.token(header={"typ": kind})) == "This is no access token."
    for kind in ("at+jwt", "JWT", None):
        await found(tokens, fake.token(header={"typ": kind}))


@pytest.mark.parametrize(
    "token",
    [
        "a.b.c",
        "..",
        "\xff.\xff.\xff",
        f"{raw([])}.{raw({})}.x",
        f"{raw({'alg': 'RS256', 'kid': 1})}.{raw({})}.{raw(b'x')}",
        f"{raw({'alg': 'RS256'})}.{raw({'iss': 'https://else.example'})}.{raw(b'x')}",
        f"{raw({'alg': 'RS256'})}.{raw({'iss': ['x']})}.{raw(b'x')}",
        f"{raw({'alg': 'RS256'})}.{raw({})}.{raw(b'x')}",
        f"{raw({'alg': 'RS256'})}.{raw([])}.{raw(b'x')}",
        f"{raw({'alg': 'RS256'})}.{raw(b'[' * 11_000)}.{raw(b'x')}",
        f"{raw(b'[' * 11_000)}.{raw({})}.{raw(b'x')}",
        f"{raw({'alg': 'RS256'})}.{raw(b'1' * 11_000)}.{raw(b'x')}",
    ],
    ids=range(12),
)
async def test_what_is_no_token_of_the_provider_is_not_judged(
    fake: FakeProvider, tokens: Tokens, token: str
) -> None:
    assert await tokens.find(token) is None
    assert fake.asked == []


async def test_a_huge_token_is_not_looked_at(fake: FakeProvider, tokens: Tokens) -> None:
    assert await tokens.find(fake.token(more="x" * MOST_CHARACTERS)) is None
    await found(tokens, fake.token(more="x" * 10_000))


async def test_keys_may_change(fake: FakeProvider, tokens: Tokens) -> None:
    assert "key that is not known" in await why(tokens, fake.token(kid="new"))
    await found(tokens, fake.token(EC, kid="ec", algorithm="ES256"))
    for number in range(50):
        await why(tokens, fake.token(kid=f"new {number}"))
    assert fake.times_asked == 1


async def test_who_cannot_be_verified_now_is_told_so(fake: FakeProvider, tokens: Tokens) -> None:
    fake.status = 503
    assert isinstance(await refused(tokens, fake.token()), NotReady)
    fake.status = 200
    assert isinstance(await refused(tokens, fake.token()), NotReady)


async def test_known_keys_go_on_while_the_provider_does_not_answer(
    fake: FakeProvider, tokens: Tokens
) -> None:
    await found(tokens, fake.token())
    fake.status = 503
    await found(tokens, fake.token(sub="bob"))


@pytest.mark.parametrize(
    ("prefix", "said", "words"),
    [
        ("", "run", ("run",)),
        ("", "openid run:agent  profile admin", ("run:agent", "admin")),
        ("", ["deploy", "email", "deploy", 1, None, ""], ("deploy",)),
        ("", "run:", ()),
        ("", "", ()),
        ("", {"run": True}, ()),
        ("", None, ()),
        ("hayserve:", "hayserve:run:agent run admin hayserve:hayserve:admin", ("run:agent",)),
        ("hayserve:", ["hayserve:", "hayserve:deploy"], ("deploy",)),
    ],
    ids=range(9),
)
async def test_only_scopes_that_mean_something_here_count(
    fake: FakeProvider, *, prefix: str, said: object, words: tuple[str, ...]
) -> None:
    tokens = tokens_of(fake, scope_claim="scp", scope_prefix=prefix)
    identity = await found(tokens, fake.token(scp=said, scope="admin"))
    assert identity.scopes.words == words


async def test_chosen_claims_are_told(fake: FakeProvider) -> None:
    tokens = tokens_of(fake, claims=["email", "groups", "absent"])
    identity = await found(tokens, fake.token(email="a@b.example", groups=["x"], secret="y"))
    assert identity.caller.claims == {"email": "a@b.example", "groups": ["x"]}


async def test_a_token_that_was_verified_is_known_at_once(
    fake: FakeProvider, tokens: Tokens
) -> None:
    token = fake.token()
    assert tokens.known(token) is None
    identity = await found(tokens, token)
    assert tokens.known(token) is identity
    assert tokens.known(f"{token}A") is None
    assert tokens.known(token[:-1]) is None


async def test_a_known_token_ends_when_it_expires(fake: FakeProvider) -> None:
    clock = Clock()
    tokens = tokens_of(fake, clock=clock)
    token = fake.token(exp=soon(60))
    await found(tokens, token)
    clock.ahead = 85
    assert tokens.known(token) is not None
    clock.ahead = 91
    assert tokens.known(token) is None
    clock.ahead = 0
    assert tokens.known(token) is None


async def test_a_known_token_is_verified_again_from_time_to_time(fake: FakeProvider) -> None:
    clock = Clock()
    tokens = tokens_of(fake, clock=clock)
    token = fake.token(exp=soon(86400))
    await found(tokens, token)
    clock.ahead = KEPT_SECONDS - 5
    assert tokens.known(token) is not None
    clock.ahead = KEPT_SECONDS + 1
    assert tokens.known(token) is None


async def test_only_so_many_tokens_are_known_those_last_shown(fake: FakeProvider) -> None:
    tokens = tokens_of(fake, most_kept=3)
    made = [fake.token(number=number) for number in range(4)]
    for token in made[:3]:
        await found(tokens, token)
    assert tokens.known(made[0]) is not None
    await found(tokens, made[3])
    known = [tokens.known(token) is not None for token in made]
    assert known == [True, False, True, True]
