"""The zoo as drgn's ``vma_name`` reads it from the kernel's memory: a second opinion.

Where it tells something else than maps does, a row of ``DEVIATIONS`` says so: a
release of drgn that mends one is noticed here.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.arch import arch_named
from harness.audit.vmcore import Vmcore
from harness.kbuild import build_kernel, readable, variant_named
from harness.maps import MapsEntry, parse_maps
from harness.targets import QemuTarget, guest_root
from tests import zoo

pytestmark = [pytest.mark.guest, pytest.mark.timeout(1200)]

HOLD = """
import base64, signal
from harness.linux.counters import vmcoreinfo

build_zoo(zoo_folder())
said = vmcoreinfo().decode()
while True:
    maps = read_maps()
    told = {"pid": os.getpid(), "maps": base64.b64encode(maps).decode()}
    told["vmcoreinfo"] = said
    line = json.dumps(told).encode() + b"\\n"
    # What it took to say it may have made the heap larger.
    if read_maps() == maps:
        break
os.write(1, line)
while True:
    signal.pause()
"""

Deviation = Callable[[bytes, bytes], bool]
# By what maps shows and drgn says. It reads a path as it is, not as maps prints it.
DEVIATIONS: dict[str, Deviation] = {
    "no (deleted) behind a file's path": lambda shown, said: (
        shown == said + b" (deleted)"
    ),
    "a newline as it is": lambda shown, said: (
        b"\n" in said and shown.replace(rb"\012", b"\n") == said
    ),
    "a file of the kernel's own tmpfs has no name": lambda shown, said: (
        said == b"[tmpfs]"
        and shown in (b"/dev/zero (deleted)", b"/memfd:mine (deleted)")
    ),
}
# On arm64 names of what is no anonymous memory, which maps does not show.
HIDDEN: Deviation = lambda shown, said: (  # noqa: E731
    said == b"[anon:hidden]" and shown in (b"[vvar]", b"[vdso]")
)


def held_zoo(
    arch: str, base: str, folder: Path
) -> tuple[list[MapsEntry], list[tuple[int, int, bytes]]]:
    """What maps shows of the zoo, and what drgn says: start, end, name."""
    machine = arch_named(arch)
    guest_root(machine)
    kernel = build_kernel(
        readable(variant_named("refcount")), base, machine, on_step=print
    )
    program = Path(zoo.__file__).read_text().partition("\n\nif __name__")[0] + HOLD
    output = bytearray()

    def is_ready(chunk: bytes) -> bool:
        output.extend(chunk)
        return output.endswith(b"}\n")

    QemuTarget(arch=machine, kernel=kernel.image).dump_when_ready(
        ["python3", "-c", program], is_ready, folder / "dump", folder / "console.txt",
        mib=512, files={},
    )  # fmt: skip
    told = json.loads(output.splitlines()[-1])
    memory = Vmcore(folder / "dump", kernel.vmlinux, told["vmcoreinfo"].encode())
    entries = list(parse_maps(base64.b64decode(told["maps"])))
    return entries, list(memory.names_shown(told["pid"]))


@pytest.mark.parametrize("arch", ["aarch64", "x86_64"])
@pytest.mark.parametrize("base", ["6.12", "6.1"])
def test_drgn_names_the_zoo_as_maps_does(arch: str, base: str, tmp_path: Path) -> None:
    entries, said = held_zoo(arch, base, tmp_path)

    # The kernel's own page for old system calls is of no process.
    shown = [e for e in entries if e.pathname != b"[vsyscall]"]
    assert [(e.start, e.end) for e in shown] == [(s, e) for s, e, _ in said]
    differing = [
        (entry.pathname, name)
        for entry, (_, _, name) in zip(shown, said, strict=True)
        if entry.pathname != name
    ]
    known = {**DEVIATIONS, **({"hidden": HIDDEN} if arch == "aarch64" else {})}
    for pair in differing:
        assert any(deviates(*pair) for deviates in known.values()), pair
    for words, deviates in known.items():
        assert any(deviates(*pair) for pair in differing), words
    # Names are what it is about: each was compared, none deviates.
    named = [e.pathname for e in shown if e.pathname.startswith(b"[anon:")]
    assert len(named) >= len(zoo.NASTY_NAMES)
    assert not any(pair[0].startswith(b"[anon") for pair in differing)
