"""Names of blocks: 48 bits of creation time in ms and 80 random bits, in Crockford's base 32, 26 characters."""

from __future__ import annotations

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26


def new_ulid(now_ms: int, random_bits: int | None = None) -> str:
    """random_bits: 80 bits, for names that are to be the same again; by default from the system."""
    value = (now_ms << 80) | (secrets.randbits(80) if random_bits is None else random_bits)
    return "".join(ALPHABET[(value >> shift) & 31] for shift in range(125, -5, -5))


def is_ulid(text: str) -> bool:
    return len(text) == LENGTH and text[0] <= "7" and all(character in ALPHABET for character in text)


def ulid_time_ms(ulid: str) -> int:
    """When the block was created."""
    value = 0
    for character in ulid[:10]:
        value = value << 5 | ALPHABET.index(character)
    return value
