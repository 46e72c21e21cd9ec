"""What root in a guest can reach of the host: nothing. See test_uml.py, too."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.targets import QemuTarget, UmlTarget

pytestmark = pytest.mark.guest

# Told as one line of JSON: whatever a guest could get out by.
PRISONER = """
import json, os, subprocess, sys
from pathlib import Path
def names(folder):
    path = Path(folder)
    return sorted(p.name for p in path.iterdir()) if path.is_dir() else []
def fails(*argv):
    return subprocess.run(argv, capture_output=True).returncode != 0
Path("/run/mnt").mkdir()
kinds = ("9p", "virtiofs", "nfs", "cifs", "hostfs", "fuse", "ext4", "vfat", "iso9660")
try:
    import socket
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).connect(("10.0.2.2", 22))
    reached = True
except OSError:
    reached = False
mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
print(json.dumps({
    "interfaces": [n for n in names("/sys/class/net") if n != "lo"],
    "blocks": names("/sys/class/block"),
    "scsi": names("/sys/bus/scsi/devices"), "pci": names("/sys/bus/pci/devices"),
    "usb": names("/sys/bus/usb/devices"), "fw_cfg": names("/sys/firmware/qemu_fw_cfg"),
    "virtio": sorted({(d / "device").read_text().strip()
                      for d in Path("/sys/bus/virtio/devices").iterdir()}),
    "ports": sorted((d / "name").read_text().strip()
                    for d in Path("/sys/class/virtio-ports").iterdir()),
    "mounts": sorted({kind for _, _, kind, *_ in mounts}),
    "mounted": [k for k in kinds if not fails("mount", "-t", k, "host", "/run/mnt")],
    "reached": reached,
    "victim": [p for p in sys.argv[1:] if Path(p).exists()],
}))
"""
OURS = {"devpts", "devtmpfs", "proc", "rootfs", "sysfs", "tmpfs", "tracefs"}
# Of linux/virtio_ids.h: the serial ports alone.
CONSOLE = "0x0003"

BOMB = """
import os, time
for count in range(3000):
    try:
        pid = os.fork()
    except OSError:
        break
    if not pid:
        time.sleep(1000)
print(count, flush=True)
os.kill(-1, 9)
"""


def test_an_arm64_guest_has_two_serial_ports_and_nothing_else(
    boot_target: Callable[..., QemuTarget], console: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("x")
    output = bytearray()

    status = boot_target().run_command(
        ["python3", "-c", PRISONER, str(victim), str(tmp_path)], output.extend, console
    )

    assert status == 0, output
    found = json.loads(output)
    assert found.pop("virtio") == [CONSOLE]
    assert found.pop("ports") == ["harness.output", "harness.records"]
    assert {*found.pop("mounts")} <= OURS
    assert found.pop("reached") is False
    assert not any(found.values()), found


def test_a_fork_bomb_in_a_guest_of_processes_ends_soon(
    uml_target: Callable[..., UmlTarget], console: Path
) -> None:
    """Each process of User-Mode Linux is one of the host's."""
    output = bytearray()

    uml_target().run_command(["python3", "-c", BOMB], output.extend, console)

    assert 100 < int(output.split()[0]) <= 1000
