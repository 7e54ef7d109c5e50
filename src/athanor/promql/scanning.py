"""The odd spellings of numbers, durations and strings, byte by byte, as the original's scanner takes them."""

from __future__ import annotations

from athanor.promql.gostrings import unicode_point

_ALNUM = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def char_at(text: bytes, at: int) -> str:
    """The character at a byte offset, "" at the end; the replacement character for bytes that are no UTF-8."""
    if at >= len(text):
        return ""
    lead = text[at]
    if lead < 0x80:
        return chr(lead)
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    try:
        return text[at : at + size].decode()
    except UnicodeDecodeError:
        return "\ufffd"


def string_mistake(text: bytes, at: int) -> str:
    """What is wrong at the first byte that cannot continue a quoted string."""
    if text[at : at + 1] != b"\\":
        return "unterminated quoted string"
    char = char_at(text, at + 1)
    if not char:
        return "escape sequence not terminated"
    if char in "01234567":
        digits, base, at = 3, 8, at + 1
    elif char in "xuU":
        digits, base, at = {"x": 2, "u": 4, "U": 8}[char], 16, at + 2
    else:
        return f"unknown escape sequence {unicode_point(char)}"
    allowed = "01234567" if base == 8 else "0123456789abcdefABCDEF"
    for i in range(at, at + digits):
        char = char_at(text, i)
        if not char:
            return "escape sequence not terminated"
        if char not in allowed:
            return f"illegal character {unicode_point(char)} in escape sequence"
    return "escape sequence is an invalid Unicode code point"


def scan_number(text: bytes, at: int) -> tuple[int, bool]:
    """Where the scanner of numbers stops, and whether it is content (lex.go scanNumber)."""
    n = len(text)

    def accept(at: int, valid: bytes) -> int:
        return at + 1 if at < n and text[at] in valid else at

    digits = b"0123456789"
    if text[at] == 48:
        at += 1
        if at < n and text[at] in b"xX":
            at = accept(at + 1, b"_")
            digits = b"0123456789abcdefABCDEF"
    at = accept(accept(at, b"."), digits)
    seen_dot = seen_exponent = False
    while at < n:
        byte = text[at]
        if byte == 46:
            if seen_dot:
                return at + 1, False
            seen_dot = True
            after = accept(at + 1, b"_.")
            if after > at + 1 or len(digits) > 10:
                return after, False
            at += 1
        elif byte in digits and not (byte in b"eE" and seen_exponent):
            # compat: in hexadecimal `e` counts as exponent first, which the order below keeps
            if byte in b"eE":
                at, seen_exponent, ok = _exponent(text, at)
                if not ok:
                    return at, False
                continue
            while at < n and text[at] in digits:
                at += 1
        elif byte in b"eE":
            if seen_exponent:
                return at + 1, False
            at, seen_exponent, ok = _exponent(text, at)
            if not ok:
                return at, False
        elif byte == 95:
            after = accept(at + 1, b"._eE")
            if after > at + 1 or after >= n:
                return after, False
            at += 1
        else:
            break
    return at, at >= n or text[at] not in _ALNUM


def _exponent(text: bytes, at: int) -> tuple[int, bool, bool]:
    at += 1
    if at < len(text) and text[at] in b"+-":
        at += 1
    if at >= len(text):
        return at, True, False
    if text[at] in b"._eE":
        return at + 1, True, False
    return at, True, True


def scan_duration(text: bytes, at: int) -> tuple[int, bool]:
    """Continues a failed number as a duration (lex.go acceptRemainingDuration)."""
    n = len(text)
    if at >= n or text[at] not in b"smhdwy":
        return at, False
    at += 1
    if at < n and text[at] == 115:
        at += 1
    while at < n and text[at] in b"0123456789":
        while at < n and text[at] in b"0123456789":
            at += 1
        if at >= n or text[at] not in b"smhdw":
            return at, False
        at += 1
        if at < n and text[at] == 115:
            at += 1
    if at < n and text[at] in _ALNUM:
        return at + 1, False
    return at, True
