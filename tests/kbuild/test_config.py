from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BuildFailed, UsageError
from harness.kbuild.config import (
    check_survived,
    merge_fragments,
    parse_config,
    render_options,
)

names = st.text("ABCXYZ019_", min_size=1, max_size=12).map("CONFIG_".__add__)
values = st.one_of(
    st.sampled_from(["y", "m", "n"]),
    st.integers().map(str),
    st.integers(0).map(hex),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(
        lambda text: f'"{text}"'
    ),
)


@given(st.dictionaries(names, values))
def test_what_is_rendered_parses_back(options: dict[str, str]) -> None:
    text = render_options(options)

    assert parse_config(text, where="here") == options
    assert list(parse_config(text, where="here")) == list(options)


def test_an_option_that_is_off_is_rendered_as_kconfig_writes_it() -> None:
    assert render_options({"CONFIG_A": "n", "CONFIG_B": "4"}) == (
        "# CONFIG_A is not set\nCONFIG_B=4\n"
    )


def test_comments_and_empty_lines_say_nothing() -> None:
    text = "#\n# Automatically generated\n\n# CONFIG_A is not set, perhaps\n"

    assert parse_config(text, where="here") == {}


@pytest.mark.parametrize(
    "line", ["CONFIG_A", "CONFIG_A=", "A=y", " CONFIG_A=y", "CONFIG_A y", "CONFIG-A=y"]
)
def test_another_line_is_refused_with_its_place(line: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_config(f"# one\n{line}\n", where="mine.config")

    assert str(raised.value) == (
        f"mine.config:2: not a line of a configuration: {line!r}"
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_fragments_that_agree_are_merged(tmp_path: Path) -> None:
    one = write(tmp_path / "one.config", "CONFIG_A=y\nCONFIG_B=4\n")
    two = write(tmp_path / "two.config", "CONFIG_B=4\n# CONFIG_C is not set\n")

    assert merge_fragments([one, two]) == {
        "CONFIG_A": "y",
        "CONFIG_B": "4",
        "CONFIG_C": "n",
    }


@pytest.mark.parametrize(
    ("other", "value"), [("# CONFIG_B is not set\n", "n"), ("CONFIG_B=5\n", "5")]
)
def test_a_disagreement_names_both_files_and_what_each_asks_for(
    tmp_path: Path, other: str, value: str
) -> None:
    one = write(tmp_path / "one.config", "CONFIG_B=4\n")
    two = write(tmp_path / "two.config", "CONFIG_A=y\n")
    three = write(tmp_path / "three.config", other)

    with pytest.raises(UsageError) as raised:
        merge_fragments([one, two, three])

    assert str(raised.value) == (
        f"{one} has CONFIG_B=4, but {three} has CONFIG_B={value}"
    )


def test_a_fragment_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no configuration fragment .*/lacking\.con"):
        merge_fragments([tmp_path / "lacking.config"])


def test_a_configuration_may_hold_more_than_was_asked() -> None:
    check_survived(
        {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": "n"},
        {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_D": "y"},
    )


def test_every_option_that_was_lost_is_named_with_what_it_became() -> None:
    with pytest.raises(BuildFailed) as raised:
        check_survived(
            {"CONFIG_A": "y", "CONFIG_B": "y", "CONFIG_C": "n", "CONFIG_D": "4"},
            {"CONFIG_B": "y", "CONFIG_C": "y", "CONFIG_D": "8"},
        )

    assert str(raised.value).endswith(
        ": CONFIG_A=y (it became n), CONFIG_C=n (it became y), CONFIG_D=4 (it became 8)"
    )
