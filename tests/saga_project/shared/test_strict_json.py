import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saga_project.shared import strict_json

CLEAN_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**60), 10**60) | CLEAN_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(CLEAN_TEXT, inner, max_size=4),
)


@given(DOCUMENTS)
def test_reads_what_json_writes(document):
    assert strict_json.loads(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"\xff",
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\\u0000"}',
        b'{"a": ' + b"9" * 65 + b"}",
        b"[" * 65 + b"]" * 65,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a": 1} trailing',
    ],
)
def test_refuses_what_could_hurt_later(raw):
    with pytest.raises(strict_json.Refused):
        strict_json.loads(raw)


def test_says_why_it_refuses():
    with pytest.raises(strict_json.Refused, match="same key twice"):
        strict_json.loads(b'{"a": {"b": 1, "b": 2}}')


def test_writes_whole_numbers_that_no_machine_word_holds():
    document = strict_json.loads(b'{"b":1000000000000000000000000000000,"a":"\xc3\xa9"}')

    assert strict_json.dumps(document).decode() == '{"b":1000000000000000000000000000000,"a":"é"}'
    assert strict_json.dumps(document, has_sorted_keys=True).startswith('{"a":"é"'.encode())
