"""Label matchers, and plans for the regular expressions in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.model.matchers import Matcher, MatchType, RegexError, compile_regex
from athanor.model.regex_plan import RegexKind, analyse


@pytest.mark.parametrize(
    ("operator", "value", "accepted", "refused"),
    [
        ("=", "a", ["a"], ["", "b"]),
        ("!=", "a", ["", "b"], ["a"]),
        ("=~", "a.*|b", ["a", "abc", "b", "a\nc"], ["", "xb", "bb"]),
        ("!~", "a.*", ["", "ba"], ["a", "ab"]),
        ("=~", "", [""], ["a"]),
    ],
)
def test_a_matcher_decides_over_the_whole_value(
    operator: str, value: str, accepted: list[str], refused: list[str]
) -> None:
    matcher = Matcher(MatchType(operator), "l", value)
    assert all(map(matcher.matches, accepted))
    assert not any(map(matcher.matches, refused))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing closing ): `(`"),
        (")", "unexpected ): `)`"),
        ("[a", "missing closing ]: `[a`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("x{1000}{1000}", "invalid nested repetition operator: `{1000}{1000}`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("\\q", "invalid escape sequence: `\\q`"),
        ("a\\C", "invalid escape sequence: `\\C`"),
        ("\\pX", "invalid character class range: `\\pX`"),
    ],
)
def test_broken_expressions_are_refused_in_go_words(pattern: str, reason: str) -> None:
    with pytest.raises(RegexError) as caught:
        Matcher(MatchType.RE, "l", pattern)
    assert str(caught.value) == f"error parsing regexp: {reason}"


def test_nesting_beyond_a_thousand_is_refused() -> None:
    with pytest.raises(RegexError, match="expression nests too deeply"):
        compile_regex("(" * 1001 + ")" * 1001)


def test_literals_that_are_no_utf8_still_match() -> None:
    matcher = Matcher(MatchType.RE, "l", "a|\udcff")
    assert matcher.matches("\udcff")
    assert not matcher.matches("b")


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("", ("",)),
        ("abc", ("abc",)),
        ("^abc$", ("abc",)),
        ("a|b|a", ("a", "b")),
        ("(a|b)(c|d)", ("ac", "ad", "bc", "bd")),
        ("x(?:1|2)?y", None),
        ("node[1-3]", ("node1", "node2", "node3")),
        ("10\\.0\\.0\\.1", ("10.0.0.1",)),
        ("a|", ("a", "")),
        ("(?i:a)", None),
        ("[^a]", None),
    ],
)
def test_sets_are_written_out(pattern: str, literals: tuple[str, ...] | None) -> None:
    plan = analyse(pattern)
    assert (plan.literals if plan.kind is RegexKind.SET else None) == literals


@pytest.mark.parametrize(
    ("pattern", "literals", "gaps"),
    [
        ("a.*", ("a", ""), (0,)),
        (".*a", ("", "a"), (0,)),
        (".*a.*", ("", "a", ""), (0, 0)),
        (".+", ("", ""), (1,)),
        ("a.+b.*c", ("a", "b", "c"), (1, 0)),
        ("a.*.*b", ("a", "b"), (0,)),
        ("a.*.+b", ("a", "b"), (1,)),
        ("http_.*_total", ("http_", "_total"), (0,)),
    ],
)
def test_prefixes_suffixes_and_infixes_are_pieces_with_gaps(
    pattern: str, literals: tuple[str, ...], gaps: tuple[int, ...]
) -> None:
    plan = analyse(pattern)
    assert (plan.kind, plan.literals, plan.gaps) == (RegexKind.PIECES, literals, gaps)


def test_a_general_expression_still_tells_its_prefix() -> None:
    assert analyse("abc[0-9]+x?").literals == ("abc",)
    assert analyse("ab?c.{3}").literals == ("a",)
    assert analyse("a(b|c).*").literals == ("",)


_PARTS = st.sampled_from(
    ["a", "b", "c", ".*", ".+", "|", "(", ")", "(?:", "[ab]", "[a-c]", "\\.", "^", "$", ".", "a?", "+", "\\-", "é"]
)


@given(pattern=st.lists(_PARTS, max_size=7).map("".join), value=st.text("abc.-\né", max_size=6))
def test_a_plan_decides_as_the_expression_does(pattern: str, value: str) -> None:
    try:
        expected = compile_regex(pattern).fullmatch(value.encode()) is not None
    except RegexError:
        return
    plan = analyse(pattern)
    if plan.kind is RegexKind.GENERAL:
        assert value.startswith(plan.literals[0]) or not expected
    else:
        assert plan.matches(value) == expected
