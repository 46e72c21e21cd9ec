import re
import shutil
from pathlib import Path

import pytest

from harness.arch import UM
from harness.errors import EnvironmentFault, UsageError
from harness.kbuild import find_source
from harness.kbuild.mutant import (
    BASE,
    mutant_named,
    mutant_names,
    mutant_variant,
    read_mutant,
)
from harness.kbuild.source import apply_patches, touched_files
from harness.kbuild.unpacking import take_files
from harness.kbuild.variant import patch_paths

GOOD = """\
What: names are lost
Where: mm/madvise.c replace_anon_vma_name()
Seen at: set_name, fork

--- a/mm/madvise.c
+++ b/mm/madvise.c
"""


def test_there_are_mutants_and_each_says_what_it_is() -> None:
    mutants = [mutant_named(name) for name in mutant_names()]

    assert len(mutants) >= 20
    assert len({mutant.what for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        # Where: the file that the patch touches, and a function or macro of it.
        (file,) = touched_files(mutant.patch.read_text())
        assert mutant.where.split(" ")[0] == file


def test_a_mutant_is_a_variant_with_one_more_patch() -> None:
    mutant = mutant_named("fork-forgets-names")

    variant = mutant_variant(mutant)

    assert variant.name == "mutant-fork-forgets-names"
    assert variant.more_patches == (mutant.patch,)
    assert variant.patches == ()


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (GOOD.replace("What: ", ""), "expected the lines What"),
        (GOOD.replace("Seen at", "Seen"), "expected the lines What"),
        (GOOD.replace("\n\n---", "\n---"), "expected the lines What"),
        (GOOD.replace("fork", "spoon"), "in Seen at: spoon; known: set_name"),
    ],
)
def test_a_file_that_does_not_say_it_is_refused(
    tmp_path: Path, spoilt: str, words: str
) -> None:
    path = tmp_path / "m.patch"
    path.write_text(GOOD)
    assert read_mutant(path).seen_at == ("set_name", "fork")
    path.write_text(spoilt)

    with pytest.raises(UsageError, match=words):
        read_mutant(path)


def test_an_unknown_mutant_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"known: .*fork-forgets-names"):
        mutant_named("fork-remembers")


def test_a_mutant_s_patch_is_applied_last(tmp_path: Path) -> None:
    mutant = mutant_named("fork-forgets-names")

    paths = patch_paths(mutant_variant(mutant), BASE, UM)

    assert [path.name for path in paths] == ["um-xstate.patch", mutant.patch.name]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that mutants touch, as the installed package has them."""
    if shutil.which("patch") is None:
        pytest.skip("there is no patch(1) here")
    try:
        package = find_source(BASE)
    except EnvironmentFault as fault:
        pytest.skip(f"no source: {fault}")
    files = {
        file
        for name in mutant_names()
        for file in touched_files(mutant_named(name).patch.read_text())
    }
    tree = tmp_path_factory.mktemp("source")
    take_files(package, sorted(files), tree, tree.with_name("log"))
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("name", mutant_names())
def test_a_mutant_applies_to_the_installed_source_where_it_says(
    source: Path, name: str
) -> None:
    mutant = mutant_named(name)
    file, where = mutant.where.split(" ")
    pristine = source.with_name("pristine")
    apply_patches(source, pristine, [])
    stock = (source / file).read_text().splitlines()

    assert apply_patches(source, pristine, [mutant.patch]) == [file]

    changed = (source / file).read_text().splitlines()
    pairs = zip(stock, changed, strict=False)
    first = next(i for i, (one, other) in enumerate(pairs) if one != other)
    assert definition_of(stock, first) == where.removesuffix("()")


def definition_of(lines: list[str], index: int) -> str:
    """The function or macro that a line of C in the kernel's style is of."""
    for line in reversed(lines[: index + 1]):
        if told := re.match(r"#define (\w+)|\*?[a-z][\w *]*?(\w+)\(", line):
            return told[1] or told[2]
    raise AssertionError(f"line {index + 1} is of nothing")
