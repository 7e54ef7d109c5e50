"""Strings quoted the way Go prints and PromQL reads them."""

from __future__ import annotations

import re
import unicodedata

_SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_PLAIN = re.compile(r"[ !#-\[\]-~]*\Z")


def printable(char: str) -> bool:
    """Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols, the plain space."""
    return char == " " or unicodedata.category(char)[0] in "LMNPS"


def _escape(char: str, quote: str) -> str:
    if char == quote:
        return "\\" + char
    short = _SHORT.get(char)
    if short is not None:
        return short
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if printable(char):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(text: str) -> str:
    """Go's strconv.Quote, printed with %q. Bytes that are no UTF-8 arrive as surrogate escapes."""
    if _PLAIN.match(text):
        return f'"{text}"'
    return '"' + "".join(_escape(char, '"') for char in text) + '"'


def quote_char(char: str) -> str:
    """Go's %q of a rune; "" stands for the end of input, which Go prints as the replacement character."""
    return "'" + (_escape(char, "'") if char else "\ufffd") + "'"


def unicode_point(char: str) -> str:
    """Go's %#U of a rune: `U+0071 'q'`."""
    code = f"U+{ord(char):04X}"
    return f"{code} '{char}'" if printable(char) else code


_ESCAPE = re.compile(rb"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_NAMED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _unescape(match: re.Match[bytes]) -> bytes:
    octal, byte, short, long, named = match.groups()
    if named is not None:
        return _NAMED.get(named, named)
    if octal is not None:
        return bytes((int(octal, 8),))
    if byte is not None:
        return bytes((int(byte, 16),))
    return chr(int(short if short is not None else long, 16)).encode()


def unquote(literal: bytes) -> str:
    """The value of a literal that the lexer has accepted, quotes included; raw bytes become surrogate escapes."""
    body = literal[1:-1]
    if literal[:1] != b"`" and b"\\" in body:
        body = _ESCAPE.sub(_unescape, body)
    return body.decode("utf-8", "surrogateescape")
