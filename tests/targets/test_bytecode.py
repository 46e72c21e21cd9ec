import importlib.util
import marshal
from pathlib import Path

import pytest

from harness.targets.bytecode import bytecode_of, compile_in_place


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text("ANSWER = 42\n")
    return path


def answer_of(bytecode: bytes) -> object:
    """What a module of this bytecode has."""
    names: dict[str, object] = {}
    exec(marshal.loads(bytecode[16:]), names)
    return names["ANSWER"]


def test_bytecode_is_left_where_python_looks_for_it(source: Path) -> None:
    made = compile_in_place(source)

    assert made == Path(importlib.util.cache_from_source(str(source)))
    assert answer_of(made.read_bytes()) == 42


def test_what_is_there_is_not_made_again(source: Path) -> None:
    made = compile_in_place(source)
    before = made.stat().st_mtime_ns, made.stat().st_ino

    compile_in_place(source)

    assert (made.stat().st_mtime_ns, made.stat().st_ino) == before


def test_a_source_that_changed_is_compiled_again(source: Path) -> None:
    compile_in_place(source)
    source.write_text("ANSWER = 4200\n")

    assert answer_of(compile_in_place(source).read_bytes()) == 4200


def test_in_an_archive_bytecode_is_taken_as_it_is(source: Path) -> None:
    bytecode = bytecode_of(source)

    assert bytecode[:4] == importlib.util.MAGIC_NUMBER
    # Neither the time of a source nor a hash of it is looked at.
    assert bytecode[4:16] == (1).to_bytes(4, "little") + bytes(8)
    assert answer_of(bytecode) == 42


def test_where_nothing_can_be_written_it_is_compiled_all_the_same(
    source: Path,
) -> None:
    # A file where the folder would be: root may write to any folder.
    (source.parent / "__pycache__").write_text("")

    assert answer_of(bytecode_of(source)) == 42
