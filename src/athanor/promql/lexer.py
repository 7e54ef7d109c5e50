"""Text -> tokens, all positions in bytes (grammar: prometheus promql/parser/lex.go).

A token's kind is its spelling in lower case for operators, punctuation and keywords (`+`, `sum`, `by`), otherwise one
of the upper-case words below. A mistake ends the list with an ERROR token; the parser raises it only if it gets that
far, as the original does.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass

from athanor.promql.ast import AGGREGATORS
from athanor.promql.features import KEYWORDS_SINCE_3_10, Features
from athanor.promql.gostrings import quote, quote_char
from athanor.promql.scanning import char_at, scan_duration, scan_number, string_mistake

IDENTIFIER, METRIC, NUMBER, DURATION, STRING, EOF, ERROR = (
    "IDENTIFIER",
    "METRIC",
    "NUMBER",
    "DURATION",
    "STRING",
    "EOF",
    "ERROR",
)
WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
PREPROCESSORS = frozenset({"start", "end", "step", "range", "max_of", "min_of"})
MODIFIERS = frozenset({"offset", "smoothed", "anchored", "by", "without", "on", "ignoring", "bool"}) | {
    "group_left",
    "group_right",
    "fill",
    "fill_left",
    "fill_right",
}
_KEYWORDS = {
    **{word: word for word in (*WORD_OPERATORS, *PREPROCESSORS, *MODIFIERS, *AGGREGATORS)},
    "inf": NUMBER,
    "nan": NUMBER,
}
_KEYWORDS_3_9 = {word: kind for word, kind in _KEYWORDS.items() if word not in KEYWORDS_SINCE_3_10}
_DURATION_WORDS = frozenset({"step", "range", "max_of", "min_of"})
_DURATION_WORDS_3_9 = frozenset({"step", "min", "max"})

_SPACE = rb"[ \t\r\n]*+"
_STRING_BODY = (
    rb"\\(?:[abfnrtv\\%b]|[0-3][0-7]{2}|x[0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
    rb"|U(?:0010|000[0-9a-fA-F])(?<!0000)[0-9a-fA-F]{4}|U0000(?![dD][89a-fA-F])[0-9a-fA-F]{4})"
)
_PLAIN_NUMBER = rb"([0-9]++(?:\.[0-9]++)?+(?![0-9A-Za-z_.]))"
_PLAIN_DURATION = rb"([0-9]++[smhdwy]s?+(?:[0-9]++[smhdw]s?+)*+(?![0-9A-Za-z_]))"
_PLAIN_STRING = rb"(\"[^\"\\\n\x80-\xff]*+\"|'[^'\\\n\x80-\xff]*+')"
_DEFAULT = re.compile(
    _SPACE
    + rb"(?:([A-Za-z_:][A-Za-z0-9_:]*+)|"
    + _PLAIN_NUMBER
    + rb"|"
    + _PLAIN_DURATION
    + rb"|([()])|([-+*/%^,@]|==|!=|<=|</|<|>=|>/|>|=(?!~))|(\{)|(\[)|"
    + _PLAIN_STRING
    + rb"|(#[^\r\n]*+)|(\])|(\.?[0-9])|([\"'])|(`)|(\Z))"
)
_WORD, _NUM, _DUR, _ROUND, _OP, _BRACE, _BRACKET, _STR, _COMMENT, _CLOSE, _ODD_NUM, _ODD_STR, _RAW, _END = range(1, 15)
_BRACES = re.compile(
    _SPACE + rb"(?:([A-Za-z_][A-Za-z0-9_]*+)|" + _PLAIN_STRING + rb"|(=~|!~|!=|=|,)|(\})|(#[^\r\n]*+)|([\"'])|(`)|(\Z))"
)
_DURATION_MODE = re.compile(_SPACE + rb"(?:([-+*/%^,])|([()])|(\])|(:)|(\.?[0-9])|(\Z))")
_STRINGS = {mark: re.compile(rb"(?:[^%b\\\n]++|%b)*+" % (mark, _STRING_BODY % mark)) for mark in (b'"', b"'")}
_RAW_STRING = re.compile(rb"[^`]*+")
_LETTERS = re.compile(rb"[A-Za-z_]*+")
_NEXT_PAREN = re.compile(_SPACE + rb"\(")


@dataclass(slots=True)
class Tokens:
    """Parallel lists; the last kind is EOF or ERROR (then `error` says why)."""

    text: bytes
    kinds: list[str]
    starts: array[int]
    ends: array[int]
    error: str = ""

    def source(self, i: int) -> bytes:
        return self.text[self.starts[i] : self.ends[i]]


class _LexError(Exception):
    """reason, and where the token in error begins."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


def tokenize(text: bytes, features: Features) -> Tokens:
    """All tokens; never raises."""
    tokens = Tokens(text, [], array("q"), array("q"))
    lexer = _Lexer(tokens, features)
    try:
        lexer.run()
        tokens.kinds.append(EOF)
        tokens.starts.append(len(text))
    except _LexError as error:
        tokens.kinds.append(ERROR)
        tokens.starts.append(error.at)
        tokens.error = str(error)
    tokens.ends.append(len(text))
    return tokens


class _Lexer:
    def __init__(self, tokens: Tokens, features: Features) -> None:
        self.tokens = tokens
        self.text = tokens.text
        self.at = 0
        self.depth = 0  # open parentheses
        self.bracket_open = False
        self.seen_colon = False
        self.seen_number = False  # compat: set by the first number inside brackets, never cleared (lex.go gotDuration)
        self.trims = features.since_3_10
        self.keywords = _KEYWORDS if features.since_3_10 else _KEYWORDS_3_9
        self.duration_words = _DURATION_WORDS if features.since_3_10 else _DURATION_WORDS_3_9
        self.word_starts = frozenset(word[0] for word in self.duration_words)

    def emit(self, kind: str, start: int, end: int) -> None:
        tokens = self.tokens
        tokens.kinds.append(kind)
        tokens.starts.append(start)
        tokens.ends.append(end)
        self.at = end

    def run(self) -> None:
        """The default mode, also used inside brackets after their first number."""
        text, kinds, starts, ends = self.text, self.tokens.kinds, self.tokens.starts, self.tokens.ends
        match_token, keywords = _DEFAULT.match, self.keywords
        while True:
            match = match_token(text, self.at)
            if match is None:
                self.refuse()
                continue
            group = match.lastindex
            assert group is not None
            start, end = match.span(group)
            if group == _WORD:
                if self.bracket_open:
                    self.bracket_word(start)
                    continue
                word = match[_WORD]
                kind = keywords.get(word.decode().lower())
                if kind is None:
                    kind = METRIC if b":" in word else IDENTIFIER
                elif kind.startswith("fill") and _NEXT_PAREN.match(text, end) is None:
                    kind = IDENTIFIER
            elif group == _NUM:
                kind = NUMBER
            elif group == _OP:
                kind = match[_OP].decode()
                if len(kind) == 2 and kind[1] == "/" and not self.trims:
                    kind, end = kind[0], start + 1
            elif group == _ROUND:
                kind = "(" if text[start] == 40 else ")"
                self.count_parenthesis(kind, end)
            elif group == _STR:
                kind = STRING
            elif group == _DUR:
                kind = DURATION
            elif group == _COMMENT:
                self.at = end
                continue
            elif group == _BRACE:
                self.emit("{", start, end)
                self.braces()
                continue
            elif group == _BRACKET:
                self.open_bracket(start, end)
                continue
            elif group == _CLOSE:
                if not self.bracket_open:
                    raise _LexError("unexpected right bracket ']'", start)
                self.bracket_open = False
                kind = "]"
            elif group == _ODD_NUM:
                self.number(start)
                continue
            elif group == _ODD_STR:
                self.string(start)
                continue
            elif group == _RAW:
                self.raw_string(start)
                continue
            else:
                if self.depth:
                    raise _LexError("unclosed left parenthesis", end)
                if self.bracket_open:
                    raise _LexError("unclosed left bracket", end)
                return
            kinds.append(kind)
            starts.append(start)
            ends.append(end)
            self.at = end

    def refuse(self) -> None:
        """A character that begins no token of the default mode."""
        at = self.at
        while at < len(self.text) and self.text[at] in b" \t\r\n":
            at += 1
        char = char_at(self.text, at)
        if char == "=":
            raise _LexError("unexpected character after '=': '~'", at)
        if char == "!":
            raise _LexError(f"unexpected character after '!': {quote_char(char_at(self.text, at + 1))}", at)
        raise _LexError(f"unexpected character: {quote_char(char)}", at)

    def count_parenthesis(self, kind: str, end: int) -> None:
        self.depth += 1 if kind == "(" else -1
        if self.depth < 0:
            raise _LexError("unexpected right parenthesis ')'", end)

    def braces(self) -> None:
        """Between `{` and `}`: words are labels, whatever they are elsewhere."""
        text = self.text
        while True:
            match = _BRACES.match(text, self.at)
            if match is None:
                at = self.at
                while text[at] in b" \t\r\n":
                    at += 1
                char = char_at(text, at)
                if char == "!":
                    after = quote_char(char_at(text, at + 1))
                    raise _LexError(f"unexpected character after '!' inside braces: {after}", at)
                if char == "{":
                    raise _LexError("unexpected left brace '{'", at)
                raise _LexError(f"unexpected character inside braces: {quote_char(char)}", at)
            group = match.lastindex
            assert group is not None
            start, end = match.span(group)
            if group == 1:
                self.emit(IDENTIFIER, start, end)
            elif group == 2:
                self.emit(STRING, start, end)
            elif group == 3:
                self.emit(match[3].decode(), start, end)
            elif group == 4:
                self.emit("}", start, end)
                return
            elif group == 5:
                self.at = end
            elif group == 6:
                self.string(start)
            elif group == 7:
                self.raw_string(start)
            else:
                raise _LexError("unexpected end of input inside braces", start)

    def open_bracket(self, start: int, end: int) -> None:
        if self.bracket_open:
            raise _LexError("unexpected left bracket '['", start)
        self.seen_colon = False
        self.bracket_open = True
        self.emit("[", start, end)
        self.bracket_start()

    def bracket_start(self) -> None:
        """After `[`, until the first number or the closing bracket."""
        text = self.text
        while True:
            match = _DURATION_MODE.match(text, self.at)
            if match is None:
                at = self.at
                while text[at] in b" \t\r\n":
                    at += 1
                if self.duration_word(at):
                    continue
                raise _LexError(f"unexpected character in duration expression: {quote_char(char_at(text, at))}", at)
            group = match.lastindex
            assert group is not None
            start, end = match.span(group)
            if group == 1:
                self.emit(match[1].decode(), start, end)
            elif group == 2:
                kind = match[2].decode()
                self.count_parenthesis(kind, end)
                self.emit(kind, start, end)
            elif group == 3:
                self.bracket_open = False
                self.seen_colon = False
                self.emit("]", start, end)
                return
            elif group == 4:
                if not self.seen_number:
                    raise _LexError("unexpected colon before duration in duration expression", end)
                if self.seen_colon:
                    raise _LexError("unexpected repeated colon in duration expression", end)
                self.seen_colon = True
                self.emit(":", start, end)
            elif group == 5:
                self.seen_number = True
                self.number(start)
                return
            else:
                raise _LexError("unexpected end of input in duration expression", start)

    def duration_word(self, at: int) -> bool:
        """Emits step, range, max_of or min_of if it stands there."""
        word = _LETTERS.match(self.text, at)
        assert word is not None
        kind = word[0].decode().lower()
        if kind not in self.duration_words:
            return False
        self.emit(kind, at, word.end())
        return True

    def bracket_word(self, start: int) -> None:
        """A word or colon inside brackets, after the first number."""
        char = chr(self.text[start])
        if char == ":":
            if self.seen_colon:
                raise _LexError("unexpected colon ':'", start)
            self.seen_colon = True
            self.emit(":", start, start + 1)
            return
        if char.lower() in self.word_starts and self.duration_word(start):
            return
        raise _LexError(f"unexpected character: {quote_char(char)}, expected ':'", start)

    def number(self, start: int) -> None:
        """A number or a duration in all its odd spellings."""
        end, ok = scan_number(self.text, start)
        if ok:
            self.emit(NUMBER, start, end)
            return
        end, ok = scan_duration(self.text, end)
        if not ok:
            seen = quote(self.text[start:end].decode("utf-8", "surrogateescape"))
            raise _LexError(f"bad number or duration syntax: {seen}", start)
        self.emit(DURATION, start, end)

    def string(self, start: int) -> None:
        text = self.text
        mark = text[start : start + 1]
        match = _STRINGS[mark].match(text, start + 1)
        assert match is not None
        end = match.end()
        self.check_utf8(start, end)
        if text[end : end + 1] != mark:
            raise _LexError(string_mistake(text, end), start)
        self.emit(STRING, start, end + 1)

    def raw_string(self, start: int) -> None:
        match = _RAW_STRING.match(self.text, start + 1)
        assert match is not None
        end = match.end()
        self.check_utf8(start, end)
        if end == len(self.text):
            raise _LexError("unterminated raw string", start)
        self.emit(STRING, start, end + 1)

    def check_utf8(self, start: int, end: int) -> None:
        body = self.text[start:end]
        if body.isascii():
            return
        # compat: a replacement character that was typed is taken for broken UTF-8 (lex.go lexString)
        try:
            broken = "\ufffd" in body.decode()
        except UnicodeDecodeError:
            broken = True
        if broken:
            raise _LexError("invalid UTF-8 rune", start)
