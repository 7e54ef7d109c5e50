"""XOR chunks with one Python integer of bits: slow, obvious."""

from __future__ import annotations

MASK = (1 << 64) - 1


class Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, n: int) -> int:
        if n > self._left:
            raise EOFError
        self._left -= n
        return (self._value >> self._left) & ((1 << n) - 1)

    def uvarint(self) -> int:
        value = 0
        for i in range(10):
            byte = self.read(8)
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if value > MASK:
                    raise OverflowError
                return value
        raise OverflowError


def signed(value: int) -> int:
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def decode(data: bytes) -> list[tuple[int, int]]:
    """[(t, value bits)]; EOFError, OverflowError or ValueError where the data is wrong."""
    bits = Bits(data)
    samples: list[tuple[int, int]] = []
    lead, size, delta = 0, 64, 0
    for i in range(bits.read(16)):
        if i == 0:
            raw = bits.uvarint()
            samples.append((raw >> 1 if raw & 1 == 0 else ~(raw >> 1), bits.read(64)))
            continue
        t, v = samples[-1]
        if i == 1:
            delta = bits.uvarint()
        else:
            n = 0
            while n < 4 and bits.read(1):
                n += 1
            width = (0, 14, 17, 20, 64)[n]
            dod = bits.read(width)
            if n < 4 and width and dod > 1 << (width - 1):
                dod -= 1 << width
            delta += dod
        if bits.read(1):
            if bits.read(1):
                lead, size = bits.read(5), bits.read(6) or 64
                if lead + size > 64:
                    raise ValueError("window wider than 64 bits")
            v ^= bits.read(size) << (64 - lead - size)
        samples.append((signed(t + delta), v))
    return samples


def _varint(n: int) -> bytes:
    return _uvarint((n << 1) & MASK if n >= 0 else ((~n << 1) | 1) & MASK)


def _uvarint(n: int) -> bytes:
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def encode(samples: list[tuple[int, int]]) -> bytes:
    text = format(len(samples), "016b")
    window: tuple[int, int] | None = None
    for i, (t, v) in enumerate(samples):
        if i == 0:
            text += "".join(format(b, "08b") for b in _varint(t)) + format(v, "064b")
            continue
        delta = t - samples[i - 1][0]
        if i == 1:
            text += "".join(format(b, "08b") for b in _uvarint(delta & MASK))
        else:
            dod = signed(delta - (samples[i - 1][0] - samples[i - 2][0]))
            for prefix, width in (("0", 0), ("10", 14), ("110", 17), ("1110", 20), ("1111", 64)):
                half = 1 << width >> 1
                if width == 64 or (dod == 0 if width == 0 else -half < dod <= half):
                    text += prefix + (format(dod & ((1 << width) - 1), f"0{width}b") if width else "")
                    break
        x = v ^ samples[i - 1][1]
        if x == 0:
            text += "0"
            continue
        lead, trail = min(64 - x.bit_length(), 31), (x & -x).bit_length() - 1
        if window and lead >= window[0] and trail >= window[1]:
            text += "10"
        else:
            window = lead, trail
            text += "11" + format(lead, "05b") + format((64 - lead - trail) & 63, "06b")
        text += format(x >> window[1], f"0{64 - window[0] - window[1]}b")
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
