"""A divergence as a program that runs anywhere, on this very kernel too."""

import ast
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.divergence import Divergence, Kernel, render_reproducer
from harness.model import Behaviour, Model, Shown
from harness.workload.gen import Theme, traces
from harness.workload.ops import (
    PAGE,
    Exec,
    Exit,
    Fork,
    Heap,
    Limit,
    Map,
    Memory,
    Op,
    Protect,
    Remap,
    SetName,
    Step,
    Unmap,
    Write,
)
from tests.traces import START

HERE = Kernel(Behaviour(), START, "/tmp/x")
PAGES = 16


def steps_of(*ops: Op | Step) -> list[Step]:
    return [op if isinstance(op, Step) else Step(0, op) for op in ops]


def divergence_of(
    steps: Sequence[Step], *, who: int = 0, kind: str = "shape"
) -> Divergence:
    """As if the kernel had done something else than the model in the last step."""
    model = Model()
    for step in steps:
        code = model.apply(step)
    return Divergence(
        kind=kind, index=len(steps) - 1, step=steps[-1], who=who,
        expected_code=code, expected=tuple(model.shown(who)),
    )  # fmt: skip


def program_of(steps: Sequence[Step], divergence: Divergence) -> str:
    return render_reproducer(
        divergence, steps, kernel=HERE, pages=PAGES, release="6.12-test"
    )


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it on a Python that has nothing but its standard library.

    The limit of VMAs is the whole machine's: a file stands for it.
    """
    path, setting = folder / "reproduce.py", folder / "max_map_count"
    setting.write_text("65530\n")
    path.write_text(program.replace("/proc/sys/vm/max_map_count", str(setting)))
    return subprocess.run(
        [sys.executable, "-I", "-S", str(path)],
        capture_output=True, text=True, check=False, timeout=60, cwd=folder,
    )  # fmt: skip


@pytest.mark.parametrize("theme", Theme)
def test_a_program_is_python_with_the_standard_library_only(theme: Theme) -> None:
    for steps in traces(1, 300, pages=PAGES, length=150, themes=[theme]):
        program = program_of(steps, divergence_of(steps))

        compile(program, "reproduce.py", "exec", dont_inherit=True)
        modules = {
            alias.name
            for node in ast.walk(ast.parse(program))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert modules <= sys.stdlib_module_names
        assert not any(
            isinstance(node, ast.ImportFrom) for node in ast.walk(ast.parse(program))
        )


FAMILY = steps_of(
    Map(0, 8, 3),
    Protect(2, 2, 1),
    Fork(1),
    Step(1, Unmap(0, 1)),
    Step(1, Fork(2)),
    Step(2, Protect(4, 2, 0)),
    Fork(3),
    Step(3, Exit()),
    Step(2, Exec()),
    Fork(2),
    Step(2, Unmap(6, 2)),
    Step(1, Protect(1, 1, 5)),
)
# What the parent was answered before is not what the child's end answers.
REFUSED_BEFORE_EXIT = steps_of(Map(0, 4, 3), Fork(1), Protect(6, 1, 1), Step(1, Exit()))
CASES = [
    (steps_of(Map(0, 8, 3), Protect(2, 2, 1), Unmap(4, 1)), 0),
    (steps_of(Map(0, 8, 3), Unmap(1, 1), Remap(4, 2, 2, 10)), 0),
    (steps_of(Map(0, 8, 3, Memory.SHARED), Write(0, 2), Map(4, 2, 1)), 0),
    (steps_of(Map(2, 4, 3, Memory.FILE, from_page=2), Protect(3, 1, 1)), 0),
    (FAMILY, 1),
    (FAMILY, 0),
    (FAMILY, 2),
    (FAMILY[:8], 2),
    (FAMILY[:9], 1),
    (REFUSED_BEFORE_EXIT, 0),
    ([*REFUSED_BEFORE_EXIT[:-1], Step(1, Exec())], 0),
]


@pytest.mark.parametrize(("steps", "who"), CASES)
def test_the_status_shows_whether_the_kernel_does_as_expected(
    steps: list[Step], who: int, tmp_path: Path
) -> None:
    right = divergence_of(steps, who=who)
    *most, last = right.expected
    wrong = replace(right, expected=(*most, last._replace(end=last.end + 1)))

    done = run(program_of(steps, right), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "answered 0, expected 0" in done.stdout
    done = run(program_of(steps, wrong), tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(("expected", "status"), [(12, 0), (0, 1), (11, 1)])
def test_outcomes_are_compared(expected: int, status: int, tmp_path: Path) -> None:
    steps = steps_of(Map(0, 4, 3), Unmap(1, 1), Protect(0, 4, 1))
    right = divergence_of(steps, kind="outcome")
    assert right.expected_code == 12

    done = run(program_of(steps, replace(right, expected_code=expected)), tmp_path)

    assert (done.returncode, done.stderr) == (status, "")
    assert "answered ENOMEM, expected" in done.stdout


@pytest.mark.parametrize("kind", ["complaint", "died"])
def test_what_only_the_log_shows_is_not_decided(kind: str, tmp_path: Path) -> None:
    steps = steps_of(Map(0, 4, 3))

    done = run(program_of(steps, divergence_of(steps, kind=kind)), tmp_path)

    assert (done.returncode, done.stderr) == (2, "")
    assert "look at the kernel's log" in done.stdout


# After each call: what the limit is, and how many VMAs there are.
SPY = """\
def code(result):
    print("set", open({setting!r}).read().strip(), end=" ")
    maps = open("/proc/self/maps").read()
    print(maps.count("\\n") - maps.count("[vsyscall]"))
"""
LIMITED = steps_of(Map(0, 8, 3), Limit(2), Protect(2, 1, 1), Unmap(0, 1))


def test_a_limit_is_in_force_during_a_call_only(tmp_path: Path) -> None:
    setting = tmp_path / "max_map_count"
    program = program_of(LIMITED, divergence_of(LIMITED))
    spied = program.replace("os.geteuid()", "0").replace(
        "def code(result):\n", SPY.format(setting=str(setting))
    )

    done = run(spied, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    (free, _), *limited = [
        line.split()[1:] for line in done.stdout.split("\n") if line[:4] == "set "
    ]
    assert free == "65530"
    # Each leaves as many VMAs as there may be; what was longer shows behind.
    assert [text.startswith(vmas) for text, vmas in limited] == [True, True]
    assert setting.read_text() == "65530\n"


@pytest.mark.parametrize("steps", [LIMITED, steps_of(Heap(2))])
def test_what_only_root_may_do_is_not_decided_without_root(
    steps: list[Step], tmp_path: Path
) -> None:
    program = program_of(steps, divergence_of(steps)).replace("os.geteuid()", "1000")

    done = run(program, tmp_path)

    assert (done.returncode, done.stderr) == (2, "")
    assert "needs root" in done.stdout


def test_every_step_is_printed_before_it_is_executed(tmp_path: Path) -> None:
    done = run(program_of(FAMILY, divergence_of(FAMILY)), tmp_path)

    told = [line for line in done.stdout.split("\n") if line[1:3] == ": "]
    assert [line.split()[0] for line in told] == [f"{s.who}:" for s in FAMILY]
    assert [line.split()[1].partition("(")[0] for line in told] == [
        s.word for s in FAMILY
    ]


@pytest.mark.parametrize("name", ['"""', "\\", "'''\n", "{start}", "\xff\x01"])
def test_no_name_spoils_the_program(name: str, tmp_path: Path) -> None:
    steps = steps_of(Map(0, 4, 3), SetName(0, PAGE, name), Unmap(0, 4))
    divergence = replace(
        divergence_of(steps, kind="content"), expected=(), words=f'"""{name}'
    )

    done = run(program_of(steps, divergence), tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_headline_is_in_the_program_without_what_would_end_its_docstring() -> None:
    steps = steps_of(Map(0, 4, 3))
    divergence = replace(
        divergence_of(steps, kind="died"), words='a """ quote \\ and \x1b[0m'
    )

    doc = ast.get_docstring(ast.parse(program_of(steps, divergence)))

    assert doc is not None
    assert doc.startswith("step 0, mmap: a ??? quote ? and ?[0m\n\nSeen on 6.12-test.")


def test_memory_of_other_maps_is_not_what_is_shown(tmp_path: Path) -> None:
    steps = steps_of(Map(0, 4, 3))
    nothing = replace(divergence_of(steps), expected=())
    another = replace(
        divergence_of(steps), expected=(Shown(0, 4, "rw-p", 0, "[anon:a]"),)
    )

    assert run(program_of(steps, nothing), tmp_path).returncode == 1
    assert run(program_of(steps, another), tmp_path).returncode == 1
