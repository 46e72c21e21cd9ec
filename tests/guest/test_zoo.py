"""The zoo in bare guests: what a process shows, on every base and machine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.targets import QemuTarget
from tests import zoo
from tests.zoo import NASTY_FILES, NASTY_NAMES

pytestmark = pytest.mark.guest

Boot = Callable[..., QemuTarget]

# A child looks, so that nothing changes while it does.
LOOK = """
from harness.linux import query_vma, read_smaps
from harness.maps import smaps_headers

expected, pid = build_zoo(zoo_folder()), os.getpid()
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
text = read_maps(pid)
entries = list(parse_maps(text))
shown = {e.start: (e.end, e.pathname) for e in entries}
for e in expected:
    assert shown[e.start] == (e.end, e.pathname), (e, shown[e.start])
assert smaps_headers(read_smaps(pid)) == text
try:
    query_vma(0, pid=pid, or_next=True)
except OSError as error:
    assert error.errno == errno.ENOTTY
    print(len(expected), "no ioctl")
    sys.exit()
for e in entries:
    told = query_vma(e.start, pid=pid)
    if e.pathname == b"[vsyscall]":
        assert told is None
        continue
    row = asdict(told)
    row["pathname"] = told.pathname.replace(b"\\n", b"\\\\012")
    assert MapsEntry(**row) == e, (told, e)
print(len(expected), "ioctl agrees")
"""


@pytest.mark.parametrize("arch", ["aarch64", "x86_64"])
@pytest.mark.parametrize(
    ("base", "said"), [("6.12", "ioctl agrees"), ("6.1", "no ioctl")]
)
def test_maps_smaps_and_the_ioctl_agree_on_the_zoo(
    boot_target: Boot, console: Path, arch: str, base: str, said: str
) -> None:
    program = Path(zoo.__file__).read_text().partition("\n\nif __name__")[0] + LOOK
    output = bytearray()

    status = boot_target(base=base, arch=arch).run_command(
        ["python3", "-c", program], output.extend, console
    )

    assert status == 0, output.decode(errors="replace")
    count, _, told = output.decode().strip().partition(" ")
    assert told == said
    assert int(count) > 2 * len(NASTY_NAMES) + len(NASTY_FILES)
