"""JSON and SHA-256 are those of the standard library."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.lean import texts
from harness.lean.texts import parse_json, render_json, sha256

leaves = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(
    leaves, lambda of: st.lists(of) | st.dictionaries(st.text(), of), max_leaves=20
)


@pytest.fixture(params=["by the C half", "by json"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter with the C half, and one without."""
    if request.param == "by json":
        monkeypatch.setattr(texts, "_make_scanner", None)


@given(values)
def test_a_text_is_what_json_writes_and_says_what_it_was_made_of(value: Any) -> None:
    text = render_json(value)

    assert text == json.dumps(value, separators=(",", ":"))
    assert parse_json(text.encode()) == value


@given(st.text() | values.map(lambda v: json.dumps(v, indent=1)))
def test_what_json_takes_is_taken_and_nothing_else(text: str) -> None:
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 (any)
            parse_json(text.encode(errors="surrogatepass"))
    else:
        assert repr(parse_json(text.encode())) == repr(wanted)


@pytest.mark.usefixtures("either")
def test_both_halves_agree() -> None:
    for text in ('{"a": [1, 2.5, null, true, "\\u00e9\\n"]}', " 1 ", '"x"'):
        assert parse_json(text.encode()) == json.loads(text)
    for bad in ("", "{", "[1] 2", "{'a': 1}", "nul", "\ufeff1"):
        with pytest.raises(ValueError):  # noqa: PT011 (any)
            parse_json(bad.encode())
    assert render_json({"é": ("\n", -1)}) == '{"\\u00e9":["\\n",-1]}'


def test_a_value_that_no_record_has_is_refused() -> None:
    with pytest.raises(TypeError, match="a record cannot contain a float"):
        render_json({"value": 1.5})


def test_a_digest_is_hashlib_s() -> None:
    assert sha256(b"some").hexdigest() == hashlib.sha256(b"some").hexdigest()
