import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.arch import arch_named
from harness.errors import EnvironmentFault, NoSuchSource
from harness.kbuild import base_names
from harness.kbuild.source import SourcePackage
from harness.machine import doctor
from harness.machine.doctor import Finding, examine

ARM64 = arch_named("aarch64")
TOOLS = {
    "make", "gcc", "flex", "bison", "bc", "patch", "xz", "mmdebstrap", "setpriv",
    "aarch64-linux-gnu-gcc", "qemu-system-aarch64",
}  # fmt: skip


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs, empty."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "bin"


def findings() -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(ARM64)}


def test_every_tool_that_is_missing_is_needed_and_has_its_command(tools: Path) -> None:
    found = findings()

    for tool in TOOLS:
        assert found[tool].found == "missing"
        assert (found[tool].ok, found[tool].needed) == (False, True)
        assert re.fullmatch(r"apt-get install [a-z0-9-]+", found[tool].mend)
    mends = {tool: found[tool].mend.split()[-1] for tool in TOOLS}
    assert mends["xz"] == "xz-utils"
    assert mends["aarch64-linux-gnu-gcc"] == "gcc-aarch64-linux-gnu"
    assert mends["qemu-system-aarch64"] == "qemu-system-arm"


def test_every_tool_that_is_there_is_well_and_shown_with_its_path(tools: Path) -> None:
    for tool in TOOLS:
        (tools / tool).write_text("#!/bin/sh\n")
        (tools / tool).chmod(0o755)

    found = findings()

    for tool in TOOLS:
        assert found[tool] == Finding(
            subject=tool, found=str(tools / tool), ok=True, needed=True, mend=""
        )


def test_a_static_libc_that_is_missing_has_its_command_but_is_no_need(
    tools: Path,
) -> None:
    subject = "static C library for aarch64"
    assert findings()[subject] == Finding(
        subject=subject,
        found="missing: anonvma kselftest needs it",
        ok=False,
        mend="apt-get install libc6-dev-arm64-cross",
    )

    (tools / "aarch64-linux-gnu-gcc").write_text("#!/bin/sh\necho /lib/libc.a\n")
    (tools / "aarch64-linux-gnu-gcc").chmod(0o755)

    assert findings()[subject] == Finding(subject=subject, found="present")


def test_a_source_is_shown_with_its_version(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        doctor, "find_source", lambda base: SourcePackage(Path("/x"), f"{base}.7-1")
    )

    found = findings()

    for base in base_names():
        subject = f"linux {base} source"
        assert found[subject] == Finding(subject=subject, found=f"{base}.7-1")


def test_a_source_that_is_missing_has_its_command(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(base: str) -> SourcePackage:
        raise EnvironmentFault("missing")

    monkeypatch.setattr(doctor, "find_source", refuse)

    found = findings()

    for base in base_names():
        finding = found[f"linux {base} source"]
        assert (finding.ok, finding.needed) == (False, True)
        assert finding.mend == f"apt-get install linux-source-{base}"


def test_a_source_that_this_debian_has_not_is_no_need_and_has_no_command(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the newest, of which everything is built unless told otherwise."""

    def refuse(base: str) -> SourcePackage:
        raise NoSuchSource("lacking")

    monkeypatch.setattr(doctor, "find_source", refuse)

    found = findings()

    for base in base_names():
        finding = found[f"linux {base} source"]
        assert (finding.ok, finding.needed) == (False, base == base_names()[-1])
        assert finding.found == f"this Debian has no linux-source-{base}"
        assert finding.mend.startswith(f"use another base than {base}, or")
        assert "apt-get" not in finding.mend


@pytest.fixture
def poor(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with neither memory nor disk."""
    fake = SimpleNamespace(
        virtual_memory=lambda: SimpleNamespace(available=1 << 30, total=2 << 30),
        cpu_count=lambda logical: 1,
        getloadavg=lambda: (0.5, 0.0, 0.0),
        disk_usage=lambda path: SimpleNamespace(free=3 << 30),
    )
    monkeypatch.setattr(doctor, "psutil", fake)


def test_too_little_memory_and_disk_are_told_and_guests_may_still_run(
    poor: None,
) -> None:
    found = findings()

    assert found["memory"].found == "1.0 of 2.0 GiB free"
    assert found["disk"].found.startswith("3.0 GiB free for ")
    for subject in ("memory", "disk"):
        assert (found[subject].ok, found[subject].needed) == (False, False)


def test_whatever_is_not_well_has_what_mends_it(poor: None) -> None:
    failed = [finding for finding in examine(ARM64) if not finding.ok]

    assert len(failed) >= len(TOOLS) + 2
    assert all(finding.mend for finding in failed)


def test_kernels_that_were_built_are_shown(tools: Path, tmp_path: Path) -> None:
    assert findings()["built kernels"].found == "none yet"

    kernels = tmp_path / "cache/anon-vma-harness/kernels"
    for name in ("switch-6.1-aarch64-00ff", "none-6.12-aarch64-00ff"):
        (kernels / name).mkdir(parents=True)

    assert findings()["built kernels"].found == (
        "none-6.12-aarch64-00ff, switch-6.1-aarch64-00ff"
    )


def test_each_thing_is_looked_at_once(tools: Path) -> None:
    subjects = [finding.subject for finding in examine(ARM64)]

    assert len(subjects) == len(set(subjects))
    assert {"processors", "memory", "disk", "names here", "vm.max_map_count"} <= {
        *subjects
    }
