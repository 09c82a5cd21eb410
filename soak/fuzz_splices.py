"""Changes bytes, whatever they are."""

from random import Random

from soak.fuzz_words import ODD_BYTES


def bytes_after(data: bytes, chance: Random) -> bytes:
    """`data` after a few changes, whatever it is."""
    for _ in range(chance.choice((1, 1, 2, 8))):
        match chance.randrange(4):
            case 0:
                data = data[: chance.randrange(len(data) + 1)]
            case 1 if data:
                at = chance.randrange(len(data))
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 2:
                some = data[chance.randrange(len(data) + 1) :][:200]
                data = spliced(data, some * chance.choice((1, 2, 50)), chance)
            case _:
                data = spliced(data, chance.choice(ODD_BYTES), chance)
    return data


def spliced(data: bytes, some: bytes, chance: Random) -> bytes:
    """`data` with `some` in the middle, in the place of something or not."""
    at = chance.randrange(len(data) + 1)
    return data[:at] + some + data[at + chance.choice((0, 0, 1, len(some))) :]
