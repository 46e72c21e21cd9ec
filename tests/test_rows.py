"""The rows of what is known of the kernel, and the tests that hold them."""

import ast
from collections import Counter
from pathlib import Path

from tests.kernel.facts.rows import ROWS

FACTS = Path(__file__).parent / "kernel" / "facts"


def rows_of_tests(source: str) -> list[tuple[str, str, str, bool]]:
    """(test, section, text, whether it may skip) of every test of a module."""
    return [
        (function.name, *own_row(function), may_skip(function))
        for function in ast.parse(source).body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
    ]


def own_row(function: ast.FunctionDef) -> tuple[str, str]:
    """The arguments of a test's ``@row``; two empty ones without it."""
    for mark in function.decorator_list:
        match mark:
            case ast.Call(
                func=ast.Name(id="row"),
                args=[ast.Constant(value=section), ast.Constant(value=text)],
            ):
                return str(section), str(text)
    return "", ""


def may_skip(function: ast.FunctionDef) -> bool:
    """Whether a test has pytest.skip() in it."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "skip"
        for node in ast.walk(function)
    )


def by_module() -> dict[str, list[tuple[str, str, str, bool]]]:
    return {
        path.stem: rows_of_tests(path.read_text())
        for path in sorted(FACTS.glob("test_*.py"))
    }


def read_all() -> list[tuple[str, str, str, bool]]:
    return [test for tests in by_module().values() for test in tests]


def test_no_row_is_there_twice() -> None:
    assert [
        r for r, n in Counter((r.section, r.text) for r in ROWS).items() if n > 1
    ] == []


def test_every_row_that_can_be_run_has_a_test_and_no_other_has_one() -> None:
    runnable = Counter((row.section, row.text) for row in ROWS if not row.cannot)

    tested = Counter((section, text) for _, section, text, _ in read_all())

    assert list((runnable - tested).elements()) == [], "rows without a test"
    assert list((tested - runnable).elements()) == [], "tests without a row"


def test_only_what_not_every_kernel_has_may_be_skipped() -> None:
    skipping = {(s, text) for _, s, text, skips in read_all() if skips}

    assert skipping == {(row.section, row.text) for row in ROWS if row.needs}


def test_a_row_is_tested_in_the_module_of_its_section() -> None:
    for module, tests in by_module().items():
        for name, section, _, _ in tests:
            assert module.startswith(f"test_{section.replace('.', '_')}_"), name
