"""The grammar of `.env` files: what it reads, what it writes, what it takes out, and python-dotenv as the measure."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.config.dotenv import assignments, parse, rewrite, write
from keystead.errors import ConfigurationError, UsageError

dotenv = pytest.importorskip("dotenv")
from dotenv.parser import parse_stream  # noqa: E402

_SIGNS = st.sampled_from([*"AB=#'\"\\ \t\n\r${}`x-.:~ék", "export ", "${A}", "\\n", "\\\\", "\r\n", " #", "\ufeff"])
texts = st.lists(_SIGNS, max_size=30).map("".join)
names = st.text(st.sampled_from("ABab_09.-/éx"), min_size=1, max_size=8)
values = st.one_of(texts, st.text(max_size=40)).filter(lambda value: not ("${" in value and "\r" in value))

READ = {
    "A=1": {"A": "1"},
    "export A=1": {"A": "1"},
    "export  A = 1 ": {"A": "1"},
    "  A=1\n\n\tB=2": {"A": "1", "B": "2"},
    "A=a b  c": {"A": "a b  c"},
    "A=a # comment": {"A": "a"},
    "A=a#b": {"A": "a#b"},
    "A=#b": {"A": "#b"},
    "A= # comment": {"A": ""},
    "A=": {"A": ""},
    "A": {},
    "# A=1\nB=2 # B=3": {"B": "2"},
    "A='a # b' # c": {"A": "a # b"},
    "A='it\\'s'": {"A": "it's"},
    "A='a\\nb'": {"A": "a\\nb"},
    'A="a\\nb\\t\\"c\\" \\\\ \\q"': {"A": 'a\nb\t"c" \\ \\q'},
    'A="-----BEGIN-----\nabc=\n-----END-----"\nB=1': {"A": "-----BEGIN-----\nabc=\n-----END-----", "B": "1"},
    "A='x\ny'\r\nB=1\r\n": {"A": "x\ny", "B": "1"},
    "A='x\r\ny'\r\nB=\"1\r\n\r2\\r\"\r\n": {"A": "x\ny", "B": "1\n\n2\r"},
    'A="a\\\\"\nB="b"': {"A": "a\\", "B": "b"},
    "'a b'=1": {"a b": "1"},
    "A=1\nA=2": {"A": "2"},
    "\ufeffA=1": {"A": "1"},
    "A=$(rm -rf x) `y` ${HOME}": {"A": "$(rm -rf x) `y` ${HOME}"},
    "A=\\d": {"A": "\\d"},
    "": {},
}


@pytest.mark.parametrize("text", READ, ids=repr)
def test_the_grammar_reads(text: str) -> None:
    assert parse(text) == READ[text]


@pytest.mark.parametrize(
    ("text", "line"),
    [("A='x", 1), ("\n\nA=1\nB='x' y\nC=1", 4), ("=1", 1), ("A=1\nsome words here", 2), ('A="x\ny"z', 1), ("'A=1", 1)],
)
def test_a_line_that_the_grammar_does_not_have_is_refused_by_number_and_not_repeated(text: str, line: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.replace("x", "canary"))
    assert f"line {line} " in str(caught.value)
    assert "canary" not in str(caught.value)


@given(texts)
@settings(max_examples=200, deadline=None)
def test_what_python_dotenv_reads_is_read_to_the_same_values(text: str) -> None:
    bindings = list(parse_stream(io.StringIO(text, newline=None)))  # line ends as when it opens a file
    expected = {each.key: each.value for each in bindings if each.key is not None and each.value is not None}
    if any(each.error for each in bindings):
        with pytest.raises(ConfigurationError):
            parse(text)
    else:
        assert parse(text) == expected


@given(texts)
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_by_its_one_error(text: str) -> None:
    try:
        spans = [(each.start, each.end) for each in assignments(text)]
    except ConfigurationError:
        return
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) for start, end in spans)


@given(st.dictionaries(names, values, max_size=6))
@settings(max_examples=200, deadline=None)
def test_what_was_written_reads_back_the_same(values: dict[str, str]) -> None:
    assert parse(write(values)) == values


@given(st.dictionaries(names, values.filter(lambda value: "\r" not in value), max_size=6))
@settings(max_examples=200, deadline=None)
def test_what_was_written_reads_back_the_same_in_python_dotenv(values: dict[str, str]) -> None:
    assert dotenv.dotenv_values(stream=io.StringIO(write(values)), interpolate=False) == values


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3))
@settings(max_examples=200, deadline=None)
def test_any_name_is_written_so_that_it_reads_back_or_is_refused(values: dict[str, str]) -> None:
    try:
        text = write(values)
    except UsageError:
        assert any(not name or "'" in name for name in values)
    else:
        assert parse(text) == values


def test_a_value_that_no_quotes_can_hold_is_refused_and_not_changed() -> None:
    with pytest.raises(UsageError) as caught:
        write({"A": "canary${HOME}\r"})
    assert "canary" not in str(caught.value)


def test_text_with_a_variable_in_it_is_written_where_it_stays_literal() -> None:
    [assignment] = assignments(write({"A": "x${HOME}\ny"}))
    assert assignment.literal
    assert assignment.value == "x${HOME}\ny"


def test_rewriting_takes_out_the_named_assignments_and_keeps_every_other_byte() -> None:
    text = (
        "\ufeff# the database\r\nexport DB='a\nb' # gone with it\r\n\r\n  PORT = 80 # kept\n"
        'JWT="x"\n#JWT=old\nJWT=y\nLAST=1'
    )
    assert rewrite(text, {"DB", "JWT", "ABSENT"}) == (
        "\ufeff# the database\r\n\r\n  PORT = 80 # kept\n#JWT=old\nLAST=1"
    )
    assert rewrite(text, []) == text


@given(texts, st.sets(st.sampled_from(["A", "B", "x", "AA"])))
@settings(max_examples=200, deadline=None)
def test_after_rewriting_the_other_names_read_as_before(text: str, remove: set[str]) -> None:
    try:
        before = parse(text)
    except ConfigurationError:
        return
    rewritten = rewrite(text, remove)
    assert parse(rewritten) == {name: value for name, value in before.items() if name not in remove}
    lines = iter(text)
    assert all(character in lines for character in rewritten), "what is left stood there in this order"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A=" + " " * 300_000 + "x", True),
        ("A=" + "x " * 150_000, True),
        ('A="' + "\\\\" * 150_000, False),
        (" " * 300_000 + "\n=", False),
        ("A='" + "\\'" * 150_000, False),
    ],
    ids=["blanks", "words", "escapes", "blank line", "quotes"],
)
def test_a_long_hostile_line_is_read_or_refused_without_reading_it_again_and_again(text: str, read: bool) -> None:
    # a reading whose cost grows with the square of the length would not end within the run
    try:
        parse(text)
    except ConfigurationError:
        assert not read
    else:
        assert read
