from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.kbuild.mutant import (
    mutant_named,
    mutant_names,
    mutant_variant,
    read_mutant,
)
from harness.kbuild.source import touched_files

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
        (GOOD.replace("What: ", ""), "should begin with lines"),
        (GOOD.replace("Seen at", "Seen"), "should begin with lines"),
        (GOOD.replace("\n\n---", "\n---"), "should begin with lines"),
        (GOOD.replace("fork", "spoon"), "seen at spoon; operations are set_name"),
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
