"""Label lists, matchers, plain selectors, metric descriptions: everything between `{` and `}` or after `by`."""

from __future__ import annotations

from athanor.model.matchers import METRIC_NAME, Matcher, MatchType, RegexError
from athanor.promql.ast import AGGREGATORS, VectorSelector
from athanor.promql.features import Features
from athanor.promql.gostrings import quote
from athanor.promql.lexer import EOF, IDENTIFIER, METRIC, MODIFIERS, PREPROCESSORS, STRING, WORD_OPERATORS
from athanor.promql.tokens import TokenStream, is_label_name

# Words that may be metric names, and words that may be labels in a list.
METRIC_NAMES = (
    frozenset({IDENTIFIER, METRIC, "and", "or", "unless", "by", "without", "offset", "anchored", "smoothed"})
    | {"fill", "fill_left", "fill_right"}
    | PREPROCESSORS
    | AGGREGATORS
)
LABEL_WORDS = frozenset({IDENTIFIER, METRIC}) | (MODIFIERS - {"without"}) | WORD_OPERATORS | AGGREGATORS | PREPROCESSORS
_MATCH_TYPES = {kind.value: kind for kind in MatchType}


def parse_selector(text: str | bytes, features: Features | None = None) -> tuple[Matcher, ...]:
    """The matchers of a plain selector, as `match[]` takes it; the empty selector is allowed."""
    return lone_selector(TokenStream(encode(text), features or Features())).matchers


def parse_metric(text: str | bytes, features: Features | None = None) -> dict[str, str]:
    """The labels of `name{a="b"}`, the name under `__name__`."""
    return metric(TokenStream(encode(text), features or Features()))


def encode(text: str | bytes) -> bytes:
    """The bytes of a query; what was no UTF-8 comes back from its surrogate escapes."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def selector(tokens: TokenStream, name: str, start: int, end: int = 0) -> VectorSelector:
    """`{...}` or nothing, after a name or none; end: where the name ends."""
    conditions: list[Matcher] = []
    if tokens.peek() == "{":
        conditions = matchers(tokens)
        end = tokens.previous_end
    if name:
        conditions.append(Matcher(MatchType.EQ, METRIC_NAME, name))
    return VectorSelector(name, tuple(conditions), start, end)


def lone_selector(tokens: TokenStream) -> VectorSelector:
    """A selector and nothing else."""
    kind, start, name = tokens.peek(), tokens.start(), ""
    if kind in METRIC_NAMES:
        name = tokens.source()
        tokens.advance()
    elif kind != "{":
        tokens.unexpected()
    found = selector(tokens, name, start, tokens.previous_end)
    if tokens.peek() != EOF:
        tokens.unexpected()
    return found


def matchers(tokens: TokenStream) -> list[Matcher]:
    """Everything in braces, at the opening one; one trailing comma."""
    found: list[Matcher] = []
    tokens.advance()
    if tokens.peek() == "}":
        tokens.advance()
        return found
    while True:
        found.append(_matcher(tokens))
        kind = tokens.peek()
        if kind not in (",", "}"):
            tokens.unexpected("label matching", '"," or "}"')
        tokens.advance()
        if kind == "," and tokens.peek() == "}":
            tokens.advance()
            return found
        if kind == "}":
            return found


def _matcher(tokens: TokenStream) -> Matcher:
    kind = tokens.peek()
    if kind == STRING:
        start, _, name = tokens.string()
        if tokens.peek() not in _MATCH_TYPES:
            return Matcher(MatchType.EQ, METRIC_NAME, name)
    elif kind == IDENTIFIER:
        name = tokens.source()
        start = tokens.advance()
        if tokens.peek() not in _MATCH_TYPES:
            tokens.unexpected("label matching", "label matching operator")
    else:
        tokens.unexpected("label matching", 'identifier or "}"')
    match_type = _MATCH_TYPES[tokens.peek()]
    tokens.count(1 if match_type in (MatchType.EQ, MatchType.NEQ) else 5)
    tokens.advance()
    if tokens.peek() != STRING:
        tokens.unexpected("label matching", "string")
    _, end, value = tokens.string()
    try:
        return Matcher(match_type, name, value)
    except RegexError as error:
        tokens.fail(str(error), start, end)


def labels(tokens: TokenStream) -> tuple[str, ...]:
    """`(a, "b c", by)`; one trailing comma."""
    if tokens.peek() != "(":
        tokens.unexpected("grouping opts", '"("')
    tokens.advance()
    names: list[str] = []
    if tokens.peek() == ")":
        tokens.advance()
        return ()
    while True:
        names.append(_grouping_label(tokens))
        kind = tokens.peek()
        if kind not in (",", ")"):
            tokens.unexpected("grouping opts", '"," or ")"')
        tokens.advance()
        if kind == ",":
            kind = tokens.peek()
            if kind == ")":
                tokens.advance()
        if kind == ")":
            return tuple(names)


def _grouping_label(tokens: TokenStream) -> str:
    tokens.count(1)
    kind = tokens.peek()
    if kind == STRING:
        start, end, name = tokens.string()
    elif kind in LABEL_WORDS:
        name = tokens.source()
        start = tokens.advance()
        end = tokens.previous_end
    else:
        tokens.unexpected("grouping opts", "label")
    if not is_label_name(name):
        tokens.fail(f"invalid label name for grouping: {quote(name)}", start, end)
    return name


def metric(tokens: TokenStream) -> dict[str, str]:
    """`name{a="b"}` and nothing else, sorted; empty values are left out."""
    found: dict[str, str] = {}
    name = None
    if tokens.peek() in METRIC_NAMES:
        name = tokens.source()
        tokens.advance()
    if tokens.peek() == "{":
        tokens.advance()
        while tokens.peek() != "}":
            key, value = _metric_label(tokens)
            found[key] = value
            if tokens.peek() == ",":
                tokens.advance()
            elif tokens.peek() != "}":
                tokens.unexpected("label set", '"," or "}"')
        tokens.advance()
    if tokens.peek() != EOF:
        tokens.unexpected()
    if name is not None:
        found[METRIC_NAME] = name
    return {key: found[key] for key in sorted(found) if found[key]}


def _metric_label(tokens: TokenStream) -> tuple[str, str]:
    kind = tokens.peek()
    if kind == STRING:
        _, _, key = tokens.string()
        if tokens.peek() != "=":
            return METRIC_NAME, key
    elif kind == IDENTIFIER:
        key = tokens.source()
        tokens.advance()
        if tokens.peek() != "=":
            tokens.unexpected("label set", '"="')
    else:
        tokens.unexpected("label set", 'identifier or "}"')
    tokens.advance()
    if tokens.peek() != STRING:
        tokens.unexpected("label set", "string")
    return key, tokens.string()[2]
