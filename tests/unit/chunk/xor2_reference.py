"""A plain reader of XOR2 chunks, slow and obvious; None where a chunk is broken."""

from __future__ import annotations

STALE = 0x7FF0000000000002
VARBIT_SIZES = (0, 3, 6, 9, 12, 18, 25, 56, 64)


class _Stream:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def bits(self, n: int) -> int:
        value = 0
        for _ in range(n):
            if self.at >= 8 * len(self.data):
                raise EOFError
            value = value << 1 | self.data[self.at >> 3] >> (7 - (self.at & 7)) & 1
            self.at += 1
        return value

    def signed(self, n: int) -> int:
        raw = self.bits(n)
        return raw - (1 << n) if raw >> (n - 1) else raw

    def ones(self, most: int) -> int:
        for n in range(most):
            if not self.bits(1):
                return n
        return most

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.bits(8)
            if shift == 63 and byte > 1:
                raise EOFError
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def varint(self) -> int:
        raw = self.uvarint()
        return raw >> 1 ^ -(raw & 1)

    def varbit(self) -> None:
        self.bits(VARBIT_SIZES[self.ones(8)])


def decode(data: bytes) -> list[tuple[int, int]] | None:
    """(time in ms, bits of the value) of each sample."""
    try:
        return _decode(data)
    except EOFError:
        return None


def _decode(data: bytes) -> list[tuple[int, int]]:
    s = _Stream(data)
    n, has_first, first_start = s.bits(16), s.bits(1), s.bits(7)
    if not n:
        return []
    window = [0, 64]

    def xored(base: int, is_new: bool) -> int:
        if is_new:
            window[0], window[1] = s.bits(5), s.bits(6) or 64
        if sum(window) > 64:
            raise EOFError
        return base ^ s.bits(window[1]) << (64 - sum(window))

    def value(base: int) -> int:
        match s.ones(3):
            case 0:
                return base
            case 3:
                return STALE
            case code:
                return xored(base, code == 2)

    t, v = s.varint(), s.bits(64)
    if has_first:
        s.varint()
    out, base, delta = [(t, v)], 0 if v == STALE else v, 0
    for i in range(1, n):
        if i == 1:
            delta, v = s.uvarint(), value(base)
        else:
            match s.ones(5):
                case 0:
                    v = base
                case 1:
                    v = xored(base, bool(s.bits(1)))
                case 5:
                    v = STALE
                case code:
                    delta += s.signed({2: 13, 3: 20, 4: 64}[code])
                    v = value(base)
        if 0 < first_start <= i:
            s.varbit()
        base = base if v == STALE else v
        t += delta
        out.append((t, v))
    return [((t + (1 << 63)) % (1 << 64) - (1 << 63), v) for t, v in out]
