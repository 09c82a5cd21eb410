"""The keys of an identity provider are asked for when one is needed, and no more often."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from access.identity_provider import DISCOVERY, EC, ED, KEYS, RSA, FakeProvider, jwk_of, providing
from hayserve.access.provider import ALGORITHMS, Provider
from hayserve.errors import NotReady

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with providing() as fake:
        yield fake


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(fake: FakeProvider, clock: Clock) -> Provider:
    return provider_of(fake.issuer, clock=clock)


def provider_of(issuer: str, **options: Any) -> Provider:
    return Provider(issuer, may_ask=lambda _: True, **options)


async def kid_of(provider: Provider, kid: str | None = "rsa", algorithm: str = "RS256") -> Any:
    found = await provider.find(kid, algorithm=algorithm)
    return None if found is None else found.get("kid")


def test_only_those_who_have_a_private_key_can_sign() -> None:
    assert not [name for name in ALGORITHMS if name == "none" or name.startswith("HS")]


async def test_a_provider_says_where_its_keys_are(fake: FakeProvider, provider: Provider) -> None:
    assert await kid_of(provider) == "rsa"
    assert await kid_of(provider, "ec", "ES256") == "ec"
    assert fake.asked == [DISCOVERY, KEYS]


async def test_it_is_not_asked_where_its_keys_are_if_that_is_set(fake: FakeProvider) -> None:
    provider = provider_of("https://else.example", jwks_url=f"{fake.issuer}{KEYS}")
    assert await kid_of(provider) == "rsa"
    assert fake.asked == [KEYS]


async def test_an_issuer_may_end_with_a_slash() -> None:
    with providing() as fake:
        fake.issuer += "/"
        assert await kid_of(provider_of(fake.issuer)) == "rsa"
        assert fake.asked == [DISCOVERY, KEYS]


async def test_a_key_that_is_not_known_is_asked_for_every_ten_seconds_at_most(
    fake: FakeProvider, provider: Provider, clock: Clock
) -> None:
    assert await kid_of(provider, "new") is None
    fake.keys = [jwk_of(RSA, "new")]
    for _ in range(20):
        assert await kid_of(provider, "new") is None
    assert fake.times_asked == 1

    clock.now += 10
    assert await kid_of(provider, "new") == "new"
    assert await kid_of(provider, "rsa") is None
    assert fake.times_asked == 2


async def test_keys_are_asked_for_anew_every_five_minutes(
    fake: FakeProvider, provider: Provider, clock: Clock
) -> None:
    assert await kid_of(provider) == "rsa"
    fake.keys = [jwk_of(EC, "ec")]
    clock.now += 299
    assert await kid_of(provider) == "rsa"
    clock.now += 1
    assert await kid_of(provider) is None
    assert fake.times_asked == 2


async def test_known_keys_go_on_while_the_provider_does_not_answer(
    fake: FakeProvider, provider: Provider, *, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert await kid_of(provider) == "rsa"
    fake.status = 500
    clock.now += 300
    with caplog.at_level(logging.WARNING):
        assert await kid_of(provider) == "rsa"
        assert await kid_of(provider) == "rsa"
        with pytest.raises(NotReady, match="does not answer"):
            await kid_of(provider, "new")
    assert [record.message for record in caplog.records] == ["identity_provider_does_not_answer"]
    assert "answers 500" in vars(caplog.records[0])["because"]

    fake.status = 200
    clock.now += 10
    assert await kid_of(provider, "new") is None


async def test_a_provider_that_is_not_there_is_no_answer(clock: Clock) -> None:
    with providing() as fake:
        issuer = fake.issuer
    provider = provider_of(issuer, clock=clock)
    with pytest.raises(NotReady):
        await kid_of(provider)


@pytest.mark.parametrize(
    "answers",
    [
        {DISCOVERY: b"no json"},
        {DISCOVERY: b"[]"},
        {DISCOVERY: b"\xff"},
        {DISCOVERY: b"{}"},
        {DISCOVERY: json.dumps({"issuer": "https://else.example"}).encode()},
        {KEYS: b"{}"},
        {KEYS: b'{"keys": {}}'},
        {KEYS: b"[" * 100_000},
        {KEYS: b'{"keys": [' + b" " * 1_000_000 + b"]}"},
    ],
    ids=range(9),
)
async def test_what_is_no_answer_of_a_provider_is_none(
    fake: FakeProvider, provider: Provider, answers: dict[str, bytes]
) -> None:
    fake.answers = answers
    with pytest.raises(NotReady):
        await kid_of(provider)


async def test_a_provider_is_not_followed_to_where_it_must_not_be_asked(
    fake: FakeProvider,
) -> None:
    provider = Provider(fake.issuer, may_ask=lambda url: url.endswith(DISCOVERY))
    with pytest.raises(NotReady):
        await kid_of(provider)
    assert fake.asked == [DISCOVERY]


async def test_a_provider_that_redirects_is_not_followed(fake: FakeProvider) -> None:
    fake.status = 302
    with pytest.raises(NotReady):
        await kid_of(provider_of(fake.issuer))
    assert fake.asked == [DISCOVERY]


async def test_a_provider_that_has_withdrawn_all_keys_has_none(
    fake: FakeProvider, provider: Provider
) -> None:
    fake.keys = []
    assert await kid_of(provider) is None


@pytest.mark.parametrize(
    ("key", "algorithm", "fits"),
    [
        (jwk_of(RSA, "k"), "RS256", True),
        (jwk_of(RSA, "k"), "PS512", True),
        (jwk_of(RSA, "k", alg="RS256", use="sig"), "RS256", True),
        (jwk_of(RSA, "k", alg="RS256"), "RS512", False),
        (jwk_of(RSA, "k", use="enc"), "RS256", False),
        (jwk_of(RSA, "k"), "ES256", False),
        (jwk_of(EC, "k"), "ES256", True),
        (jwk_of(EC, "k"), "ES384", False),
        (jwk_of(EC, "k"), "RS256", False),
        (jwk_of(ED, "k"), "EdDSA", True),
        ({"kty": "oct", "kid": "k", "k": "c2VjcmV0"}, "RS256", False),
        ("k", "RS256", False),
    ],
    ids=range(12),
)
async def test_a_key_is_for_what_the_provider_says(
    fake: FakeProvider, provider: Provider, *, key: Any, algorithm: str, fits: bool
) -> None:
    fake.keys = [key]
    assert (await kid_of(provider, "k", algorithm) == "k") is fits


async def test_a_token_need_not_name_its_key_if_there_is_only_one(
    fake: FakeProvider, provider: Provider, clock: Clock
) -> None:
    assert await kid_of(provider, None) == "rsa"
    assert await kid_of(provider, None, "ES256") == "ec"
    fake.keys = [jwk_of(RSA, "one"), jwk_of(RSA, None)]
    clock.now += 300
    assert await kid_of(provider, None) is None
    assert await kid_of(provider, "one") == "one"


async def test_many_who_need_the_keys_at_once_ask_once(
    fake: FakeProvider, provider: Provider
) -> None:
    found: list[Any] = []

    async def find() -> None:
        found.append(await kid_of(provider))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(find)
    assert found == ["rsa"] * 10
    assert fake.times_asked == 1


async def test_nobody_waits_for_new_keys_who_has_one(
    fake: FakeProvider, provider: Provider, clock: Clock
) -> None:
    await kid_of(provider)
    clock.now += 300
    fake.may_answer.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kid_of, provider)
        while len(fake.asked) < 3:
            await anyio.lowlevel.checkpoint()
        assert await kid_of(provider) == "rsa"
        fake.may_answer.set()


async def test_who_leaves_does_not_make_the_next_ask_anew(
    fake: FakeProvider, provider: Provider
) -> None:
    fake.may_answer.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kid_of, provider)
        while not fake.asked:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
        fake.may_answer.set()
    assert await kid_of(provider) == "rsa"
    assert fake.asked == [DISCOVERY, KEYS]
