import re
from pathlib import Path

import pytest

from harness.arch import ARCHES, UM, arch_named
from harness.errors import UsageError
from harness.host.paths import kernels_dir
from harness.kbuild import (
    Variant,
    base_names,
    readable,
    variant,
    variant_named,
    variant_names,
)
from harness.kbuild.config import merge_fragments
from harness.kbuild.source import touched_files
from harness.kbuild.variant import patch_paths, read_variant
from harness.workload import Store

GOOD = {
    "description": '"words"',
    "config": '["base", "names"]',
    "patches": '["a.patch"]',
    "stores": '["refcounted", "strdup"]',
}


def write(folder: Path, keys: dict[str, str]) -> Path:
    path = folder / "mine.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))
    return path


def test_a_file_is_a_variant_called_like_it(tmp_path: Path) -> None:
    assert read_variant(write(tmp_path, GOOD)) == Variant(
        name="mine",
        description="words",
        config=("base", "names"),
        patches=("a.patch",),
        stores=(Store.REFCOUNTED, Store.STRDUP),
    )


def test_what_is_not_toml_is_refused_with_its_path_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, {**GOOD, "stores": "[oops"})

    with pytest.raises(UsageError, match=r"not TOML: .*line 4") as raised:
        read_variant(path)

    assert str(path) in str(raised.value)


@pytest.mark.parametrize("key", GOOD)
def test_a_file_that_lacks_a_key_is_refused(tmp_path: Path, key: str) -> None:
    lacking = {name: value for name, value in GOOD.items() if name != key}

    with pytest.raises(UsageError) as raised:
        read_variant(write(tmp_path, lacking))

    assert str(raised.value).endswith(
        f"the keys should be {sorted(GOOD)}, but are {sorted(lacking)}"
    )


def test_a_key_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"but are .*'patch'"):
        read_variant(write(tmp_path, {**GOOD, "patch": "[]"}))


@pytest.mark.parametrize("key", ["config", "patches", "stores"])
@pytest.mark.parametrize("value", ['"base"', "[1]", "{}", "true"])
def test_what_is_not_a_list_of_strings_is_refused(
    tmp_path: Path, key: str, value: str
) -> None:
    with pytest.raises(UsageError, match=f"mine.toml: {key} should be a list of str"):
        read_variant(write(tmp_path, {**GOOD, key: value}))


def test_a_description_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml: description should be a string"):
        read_variant(write(tmp_path, {**GOOD, "description": "5"}))


def test_a_store_that_there_is_not_is_refused_with_those_there_are(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        UsageError, match=r"'hashed'.*; known stores: refcounted, strdup, absent"
    ):
        read_variant(write(tmp_path, {**GOOD, "stores": '["hashed"]'}))


def test_a_variant_that_there_is_not_is_refused_with_those_there_are() -> None:
    known = ", ".join(variant_names())

    with pytest.raises(UsageError, match=f"called 'mine'; known: {known}$"):
        variant_named("mine")


def test_a_base_that_there_is_not_is_refused_with_those_there_are() -> None:
    known = re.escape(", ".join(base_names()))

    with pytest.raises(UsageError, match=rf"called '2\.4'; known: {known}$"):
        patch_paths(variant_named("refcount"), "2.4", UM)


def test_a_base_that_lacks_a_patch_of_the_variant_is_refused(tmp_path: Path) -> None:
    mine = read_variant(write(tmp_path, GOOD))

    with pytest.raises(
        UsageError, match=r"mine .* on 6\.1: there is no .*/6\.1/a\.patch$"
    ):
        patch_paths(mine, "6.1", arch_named("aarch64"))


def test_bases_are_in_the_order_of_their_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "README").touch()
    for base in ("6.12", "5.18", "6.1"):
        (tmp_path / "patches" / base).mkdir(parents=True)
    monkeypatch.setattr(variant, "kernels_dir", lambda: tmp_path)

    assert base_names() == ["5.18", "6.1", "6.12"]


@pytest.mark.parametrize("machine", [arch.kernel_arch for arch in ARCHES.values()])
@pytest.mark.parametrize("name", variant_names())
def test_a_shipped_variant_loads_and_its_fragments_agree_with_the_machine_s(
    name: str, machine: str
) -> None:
    shipped = variant_named(name)

    assert shipped.name == name
    assert shipped.description
    assert shipped.stores
    folder = kernels_dir() / "config"
    assert merge_fragments([folder / f"{f}.config" for f in (*shipped.config, machine)])


@pytest.mark.parametrize("base", base_names())
@pytest.mark.parametrize("name", variant_names())
def test_a_shipped_variant_has_its_patches_for_every_base(name: str, base: str) -> None:
    for path in patch_paths(variant_named(name), base, UM):
        assert touched_files(path.read_text())


def test_no_shipped_patch_or_fragment_is_one_that_no_variant_names() -> None:
    variants = [variant_named(name) for name in variant_names()]
    variants += [readable(each) for each in variants]

    machines = {arch.kernel_arch for arch in ARCHES.values()}
    fragments = {path.stem for path in (kernels_dir() / "config").iterdir()}
    patches = {path.name for path in (kernels_dir() / "patches").glob("*/*")}
    assert fragments == {f for v in variants for f in v.config} | machines
    of_machines = {p for arch in ARCHES.values() for p in arch.patches}
    assert patches == {p for v in variants for p in v.patches} | of_machines


def test_a_readable_kernel_is_its_variant_with_debug_information() -> None:
    stock = variant_named("refcount")

    made = readable(stock)

    assert made.readable
    assert not stock.readable
    assert made.name == "refcount-audit"
    assert made.stores == stock.stores
    assert made.config == (*stock.config, "audit")


@pytest.mark.parametrize("key", ["config", "patches"])
@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "", "a\\u0000b", "-x",
     "$(id)", "a\\nb", "x" * 101],
)  # fmt: skip
def test_a_name_that_leads_out_of_kernels_is_refused(
    tmp_path: Path, key: str, name: str
) -> None:
    with pytest.raises(UsageError, match=f"{key} contains .* not a plain file name"):
        read_variant(write(tmp_path, {**GOOD, key: f'["{name}"]'}))
