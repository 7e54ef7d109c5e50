"""Chunks of native histograms, of floats or integers (TSDB encodings 3 and 2): what puts them into blocks."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.conformance.histogram_rows import counts_of
from tests.conformance.values import Buckets, Histogram

CUSTOM = -53
INTEGERS, FLOATS = 2, 3
STALE_BITS = 0x7FF0000000000002
_SIZES = (("10", 3), ("110", 6), ("1110", 9), ("11110", 12), ("111110", 18), ("1111110", 25), ("11111110", 56))
_RESET, _GAUGE = 0x80, 0xC0
Samples = Sequence[tuple[int, Histogram]]


def float_bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def is_stale(h: Histogram) -> bool:
    return float_bits(h.sum) == STALE_BITS


class Bits:
    """A stream of bits, most significant first."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def put(self, value: int, n: int) -> None:
        self._parts.append(format(value & ((1 << n) - 1), f"0{n}b"))

    def unsigned(self, value: int) -> None:
        self._sized(value, 0, lambda n: (1 << n) - 1)

    def signed(self, value: int) -> None:
        """n bits hold -(2**(n-1) - 1) to 2**(n-1)."""
        self._sized(value, 1, lambda n: 1 << (n - 1))

    def _sized(self, value: int, shift: int, most: Callable[[int], int]) -> None:
        if value == 0:
            self._parts.append("0")
            return
        for prefix, n in _SIZES:
            high = most(n)
            if (-high + 1 if shift else 0) <= value <= high:
                self._parts.append(prefix)
                self.put(value, n)
                return
        self._parts.append("1" * 8)
        self.put(value, 64)

    def bytes(self) -> bytes:
        text = "".join(self._parts)
        padded = text + "0" * (-len(text) % 8)
        return int(padded, 2).to_bytes(len(padded) // 8, "big") if padded else b""


@dataclass
class Floats:
    """The XOR code of one number over time."""

    bits: int | None = None
    window: tuple[int, int] | None = None

    def unchanged(self, value: float) -> float:
        """What a stale sample of this value writes."""
        return value

    def put(self, out: Bits, value: float) -> None:
        bits = float_bits(value)
        if self.bits is None:
            out.put(bits, 64)
        else:
            self._change(out, bits ^ self.bits)
        self.bits = bits

    def _change(self, out: Bits, changed: int) -> None:
        if changed == 0:
            out.put(0, 1)
            return
        leading, trailing = min(64 - changed.bit_length(), 31), (changed & -changed).bit_length() - 1
        if self.window is not None and leading >= self.window[0] and trailing >= self.window[1]:
            out.put(0b10, 2)
        else:
            self.window = leading, trailing
            out.put(0b11, 2)
            out.put(leading, 5)
            out.put((64 - leading - trailing) % 64, 6)
        leading, trailing = self.window
        out.put(changed >> trailing, 64 - leading - trailing)


@dataclass
class Integers:
    """The differences of differences of one number over time. is_count: never negative at first."""

    is_count: bool = False
    value: int | None = None
    delta: int = 0

    def unchanged(self, value: float) -> float:
        """What a stale sample of this value writes: as much more as the sample before."""
        return value if self.value is None else self.value + self.delta

    def put(self, out: Bits, value: int) -> None:
        if self.value is None:
            (out.unsigned if self.is_count else out.signed)(value)
        else:
            delta = value - self.value
            out.signed(delta - self.delta)
            self.delta = delta
        self.value = value


@dataclass
class _Numbers:
    """Count, zero count and buckets of a chunk."""

    encoding: int
    known: list[Floats | Integers] = field(default_factory=list)

    def put(self, out: Bits, at: int, value: float) -> None:
        while len(self.known) <= at:
            self.known.append(Floats() if self.encoding == FLOATS else Integers(is_count=len(self.known) < 2))
        self.known[at].put(out, value if self.encoding == FLOATS else int(value))  # type: ignore[arg-type]


def _spans(out: Bits, buckets: Buckets) -> None:
    out.unsigned(1 if buckets.counts else 0)
    if buckets.counts:
        out.unsigned(len(buckets.counts))
        out.signed(buckets.offset)


def _layout(out: Bits, h: Histogram) -> None:
    if h.zero_threshold == 0:
        out.put(0, 8)
    else:
        out.put(255, 8)
        out.put(float_bits(h.zero_threshold), 64)
    out.signed(h.schema)
    _spans(out, h.positive)
    _spans(out, h.negative)
    if h.schema == CUSTOM:
        out.unsigned(len(h.custom_values))
        for bound in h.custom_values:
            if round(bound * 1000) / 1000 != bound:
                raise ValueError(f"the bound {bound} is no multiple of 0.001")
            out.unsigned(round(bound * 1000) + 1)


def _steps(buckets: Buckets, encoding: int) -> Iterator[float]:
    """Counts, which integers hold as the difference from the bucket before."""
    before = 0.0
    for count in buckets.counts:
        yield count if encoding == FLOATS else count - before
        before = count


def chunk(samples: Samples, encoding: int, is_reset: bool) -> bytes:
    """One chunk of samples with the same layout; stale ones may follow."""
    out, first = Bits(), samples[0][1]
    _layout(out, Histogram() if is_stale(first) else first)
    times, sums, numbers = Integers(), Floats(), _Numbers(encoding)
    for at_ms, h in samples:
        times.put(out, at_ms)
        stale = is_stale(h)
        last = numbers.known
        for k, value in enumerate((h.count, h.zero_count)):
            numbers.put(out, k, last[k].unchanged(value) if stale and k < len(last) else value)
        sums.put(out, h.sum)
        if not stale:
            for k, step in enumerate([*_steps(h.positive, encoding), *_steps(h.negative, encoding)], 2):
                numbers.put(out, k, step)
    flags = _GAUGE if first.hint == "gauge" else (_RESET if is_reset else 0)
    return struct.pack(">HB", len(samples), flags) + out.bytes()


def _fell(before: Histogram, h: Histogram) -> bool:
    if h.hint == "gauge":
        return False
    sides = ((before.positive, h.positive), (before.negative, h.negative))
    return (
        h.count < before.count
        or h.zero_count < before.zero_count
        or any(counts_of(b).get(i, 0.0) < n for a, b in sides for i, n in counts_of(a).items())
    )


def _shape(h: Histogram) -> tuple[object, ...]:
    sides = ((b.offset, len(b.counts)) for b in (h.positive, h.negative))
    return h.schema, h.zero_threshold, h.custom_values, h.hint == "gauge", *sides


def chunks(samples: Samples, encoding: int, most: int) -> Iterator[tuple[int, int, bytes]]:
    """(first ms, last ms, data) of chunks of at most so many samples, cut where a counter or a layout begins anew."""
    own: list[tuple[int, Histogram]] = []
    is_reset = False
    for at_ms, h in samples:
        if own:
            before = own[-1][1]
            fell = not is_stale(h) and not is_stale(before) and _fell(before, h)
            ends = not is_stale(h) and (is_stale(before) or fell or _shape(before) != _shape(h))
            if ends or len(own) == most:
                yield own[0][0], own[-1][0], chunk(own, encoding, is_reset)
                own, is_reset = [], fell
        own.append((at_ms, h))
    if own:
        yield own[0][0], own[-1][0], chunk(own, encoding, is_reset)
