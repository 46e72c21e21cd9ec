"""Builds a variant's image, or finds the image in the cache.

The key of an image is a hash of the source's version, the requested options, the
patches and the compiler. Two builds with the same key give the same kernel, whoever
builds it and in whatever environment. If no image has the key, it is built in the
tree of its base.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.arch import Arch
from harness.errors import BuildFailed, EnvironmentFault
from harness.host.locks import exclusive
from harness.host.paths import cache_dir, kernels_dir
from harness.host.programs import run_logged, tail_of
from harness.host.scratch import scratch_folder
from harness.kbuild.config import (
    check_survived,
    merge_fragments,
    parse_config,
    render_options,
)
from harness.kbuild.source import SourcePackage, apply_patches, find_source
from harness.kbuild.toolchain import check_headers, compiler_version
from harness.kbuild.unpacking import unpack_source
from harness.kbuild.variant import Variant, patch_paths
from harness.linux import config_digest

_CONFIG_DEADLINE_S = 600
_MAKE_DEADLINE_S = 7200
# This file is in the tree of objects while make works there.
_MARK = ".anonvma-building"
# An exit status of at least this means that a signal ended the program.
_SIGNALLED = 128
# The environment variables that a build gets. Others could change the kernel (KCFLAGS,
# LLVM, CPATH), or belong to a make that runs this process: its flags, and descriptors
# of its job server that are closed here.
_PASSED_ON = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES",
    # The folders of ccache, which may come before the compiler in PATH.
    "CCACHE_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltKernel:
    """An image, and what it was built from.

    ``config_sha256`` is the same hash that the running kernel reports. Only readable
    variants keep ``vmlinux``, which has the debug information.
    """

    image: Path
    variant: Variant
    base: str
    arch: Arch
    source_version: str
    config_sha256: str

    @property
    def vmlinux(self) -> Path:
        """The kernel as ELF, with debug information."""
        assert self.variant.readable
        return self.image.with_name("vmlinux")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    variant: Variant
    base: str
    arch: Arch
    package: SourcePackage
    options: Mapping[str, str]
    patches: tuple[Path, ...]
    compiler: str

    @property
    def key(self) -> str:
        parts = [
            self.package.version, self.arch.name, self.variant.name, self.compiler,
            render_options(dict(sorted(self.options.items()))),
            *(p.read_text() for p in self.patches),
        ]  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        return f"{self.variant.name}-{self.base}-{self.arch.name}"


def build_kernel(
    variant: Variant, base: str, arch: Arch, *, on_step: Callable[[str], None]
) -> BuiltKernel:
    """The image of a variant on a base, for a machine; built if it is not cached.

    ``on_step`` gets each step. Waits for another build of the same base. Raises
    EnvironmentFault if a tool or the source is missing, BuildFailed if make fails or
    Kconfig does not keep an option.
    """
    recipe = _recipe(variant, base, arch)
    kernels = cache_dir() / "kernels"
    folder = kernels / f"{recipe.name}-{recipe.key}"
    if not folder.exists():
        kernels.mkdir(parents=True, exist_ok=True)
        # Readable kernels get a tree of their own. In a shared tree, every change from
        # one kind to the other would compile all files again.
        kind = "-readable" if variant.readable else ""
        room = cache_dir() / "build" / f"linux-{base}-{arch.kernel_arch}{kind}"
        room.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another build of linux {base} for {arch.name}"
        with exclusive(room / "lock", on_wait=lambda: on_step(waiting)):
            if not folder.exists():
                _build(recipe, room, folder, on_step)
    facts = json.loads((folder / "kernel.json").read_text())
    return BuiltKernel(
        image=folder / "image",
        variant=variant,
        base=base,
        arch=arch,
        source_version=recipe.package.version,
        config_sha256=facts["config_sha256"],
    )


def _recipe(variant: Variant, base: str, arch: Arch) -> _Recipe:
    names = [*variant.config, arch.kernel_arch]
    return _Recipe(
        variant=variant,
        base=base,
        arch=arch,
        patches=tuple(patch_paths(variant, base, arch)),
        package=find_source(base),
        options=merge_fragments(
            [kernels_dir() / "config" / f"{name}.config" for name in names]
        ),
        compiler=_compiler(arch),
    )


def _compiler(arch: Arch) -> str:
    version = compiler_version(arch)
    check_headers(arch)
    for tool in ("make", "flex", "bison", "bc", "patch"):
        if shutil.which(tool) is None:
            raise EnvironmentFault(
                f"{tool} is missing; as root: apt-get install {tool}"
            )
    return version


def _build(
    recipe: _Recipe, room: Path, folder: Path, on_step: Callable[[str], None]
) -> None:
    log = room / f"{recipe.variant.name}.log"
    log.unlink(missing_ok=True)
    trees = room / recipe.package.version
    # Remove the trees of other versions, and what a killed build left.
    for old in [*room.iterdir(), *trees.glob("making-*")]:
        if old.is_dir() and old != trees:
            shutil.rmtree(old)
    trees.mkdir(exist_ok=True)
    # Not named "source": versions up to 0.3.2 wrote patches into that folder, through
    # its links.
    source, output = trees / "linked", trees / "output"
    output.mkdir(exist_ok=True)
    unpack_source(recipe.package, source, log, on_step=on_step)
    _remove_interrupted_objects(output)
    written = apply_patches(source, trees / "pristine", recipe.patches)
    changed = f", {len(written)} source files changed" if written else ""
    on_step(f"configuring {recipe.name}{changed}")
    config = _configure(recipe, source, output, log)
    _make_image(recipe, source, output, log, on_step)
    with tempfile.TemporaryDirectory(dir=trees, prefix="making-") as scratch:
        made = Path(scratch) / "kernel"
        made.mkdir()
        shutil.copy(output / recipe.arch.image_path, made / "image")
        shutil.copyfile(output / "System.map", made / "System.map")
        if recipe.variant.readable:
            shutil.copyfile(output / "vmlinux", made / "vmlinux")
        (made / "config").write_text(config)
        facts = {
            "config_sha256": config_digest(config),
            "source": recipe.package.version,
            "compiler": recipe.compiler,
            "patches": [_shown(path) for path in recipe.patches],
        }
        (made / "kernel.json").write_text(json.dumps(facts, indent=1) + "\n")
        made.rename(folder)


def _shown(patch: Path) -> str:
    ours = patch.is_relative_to(kernels_dir())
    return str(patch.relative_to(kernels_dir())) if ours else patch.name


def _remove_interrupted_objects(output: Path) -> None:
    # If make was killed while it wrote an object, the next make would take that object
    # for finished.
    mark = output / _MARK
    if mark.exists():
        since = mark.stat().st_mtime
        for path in output.rglob("*.[oa]"):
            if path.stat().st_mtime >= since:
                path.unlink()


def _make_argv(recipe: _Recipe, source: Path, output: Path, *targets: str) -> list[str]:
    return [
        "make", f"--directory={source}", f"O={output}",
        f"ARCH={recipe.arch.kernel_arch}", f"CROSS_COMPILE={recipe.arch.cross_compile}",
        f"LOCALVERSION=-{recipe.variant.name}",
        "KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_VERSION=1",
        "KBUILD_BUILD_USER=anonvma", "KBUILD_BUILD_HOST=harness",
        *targets,
    ]  # fmt: skip


def _run_make(
    argv: Sequence[str],
    output: Path,
    log: Path,
    *,
    deadline_s: float,
    env: Mapping[str, str],
    on_line: Callable[[str], None] | None = None,
) -> int | None:
    # Like run_logged. The mark stays if make did not end by itself, because it was
    # killed or took too long. Then its compilers were killed too.
    mark = output / _MARK
    mark.touch()
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    status = run_logged(
        argv, log, deadline_s=deadline_s, env={**passed, **env}, on_line=on_line
    )
    if status is not None and 0 <= status < _SIGNALLED:
        mark.unlink()
    return status


def _configure(recipe: _Recipe, source: Path, output: Path, log: Path) -> str:
    with scratch_folder() as scratch:
        requested, made = scratch / "requested", scratch / "made"
        requested.write_text(render_options(recipe.options))
        # allnoconfig with a file is like olddefconfig, except that all other options
        # are off.
        status = _run_make(
            _make_argv(recipe, source, output, "allnoconfig"), output, log,
            deadline_s=_CONFIG_DEADLINE_S,
            env={"KCONFIG_ALLCONFIG": str(requested), "KCONFIG_CONFIG": str(made)},
        )  # fmt: skip
        if status != 0:
            raise _failed("configuring", recipe, status, log)
        config = made.read_text()
    check_survived(recipe.options, parse_config(config, where="the made configuration"))
    kept = output / ".config"
    if not kept.exists() or kept.read_text() != config:
        kept.write_text(config)
    return config


def _make_image(
    recipe: _Recipe,
    source: Path,
    output: Path,
    log: Path,
    on_step: Callable[[str], None],
) -> None:
    compiled = 0
    started = time.monotonic()

    def watch(line: str) -> None:
        nonlocal compiled
        kind, _, what = line.strip().partition(" ")
        if kind in ("CC", "AS", "LD", "AR") and what:
            compiled += 1
            on_step(f"building {recipe.name}: {compiled} objects, {what.strip()}")

    jobs = len(os.sched_getaffinity(0)) + 1
    # Killed compilers leave their temporary files, so they get a scratch folder.
    with scratch_folder() as scratch:
        status = _run_make(
            _make_argv(
                recipe, source, output, f"--jobs={jobs}", recipe.arch.image_target
            ),
            output,
            log,
            deadline_s=_MAKE_DEADLINE_S,
            env={"TMPDIR": str(scratch)},
            on_line=watch,
        )
    if status != 0:
        raise _failed("building", recipe, status, log)
    elapsed = time.monotonic() - started
    on_step(f"built {recipe.name}: {compiled} objects in {elapsed:.0f} s")


def _failed(doing: str, recipe: _Recipe, status: int | None, log: Path) -> BuildFailed:
    how = "took too long" if status is None else f"ended with status {status}"
    return BuildFailed(
        f"{doing} {recipe.name} {how}; the whole log is {log}, its end:\n{tail_of(log)}"
    )
