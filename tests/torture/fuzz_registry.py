"""Every target there is, by its name."""

from tests.torture import fuzz_files, fuzz_json, fuzz_text
from tests.torture.fuzz_targets import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (*fuzz_text.TARGETS, *fuzz_json.TARGETS, *fuzz_files.TARGETS)
}
