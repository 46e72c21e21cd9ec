"""What each command was asked, as frozen values."""

from dataclasses import dataclass
from pathlib import Path

from harness.arch import Arch
from harness.campaign import Plan, TargetChoice
from harness.campaign.agree import AgreePlan
from harness.campaign.truth import TruthPlan


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """What ``anonvma doctor`` was asked: to look, unless it is one of the others.

    ``mend`` is to put right what was left, ``bases`` to list those there are here.
    """

    arch: Arch
    mend: bool = False
    bases: bool = False


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What ``anonvma build`` was asked; with ``mutants``, those and nothing else.

    No ``bases`` are all that can be had.
    """

    variants: tuple[str, ...]
    bases: tuple[str, ...]
    arch: Arch
    mutants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """What ``anonvma boot`` was asked; without a command, a shell.

    ``image`` is one of ``anonvma image``, with a kernel of its own; ``share``
    are folders that a UML guest may write to; without ``memory_mib`` it is enough.
    """

    choice: TargetChoice
    variant: str
    base: str
    image: Path | None
    share: tuple[Path, ...]
    memory_mib: int | None
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KselftestRequest:
    """What ``anonvma kselftest`` was asked: every kernel on each of ``choices``.

    No ``bases`` are all that can be had.
    """

    choices: tuple[TargetChoice, ...]
    variants: tuple[str, ...]
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What ``anonvma run`` was asked; each of ``choices`` runs the whole plan."""

    plan: Plan
    choices: tuple[TargetChoice, ...]
    results: Path
    name: str | None
    parallel: int
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """What ``anonvma show`` was asked; without a path, the newest campaign.

    ``metrics`` are the tables to print, by name.
    """

    path: Path | None
    results: Path
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What ``anonvma import`` was asked."""

    records: Path
    results: Path
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What ``anonvma tune`` was asked: ``action`` is show, apply or undo."""

    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What ``anonvma image`` was asked: where to, of which kernel and machine."""

    out: Path
    variant: str
    base: str
    arch: Arch
    wheels: Path | None


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What ``anonvma probe`` was asked."""

    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreeRequest:
    """What ``anonvma agree`` was asked.

    ``record`` is a file that every trace is added to; divergences go to ``out``.
    """

    plan: AgreePlan
    choice: TargetChoice
    variant: str
    base: str
    shrink: bool
    record: Path | None
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What ``anonvma replay`` was asked; without a choice, to judge what is there."""

    trace: Path
    choice: TargetChoice | None
    variant: str
    base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What ``anonvma report`` was asked; ``text`` for a mail instead of a page."""

    campaign: Path
    out: Path | None
    text: bool
    results: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What ``anonvma export`` was asked."""

    campaign: Path
    out: Path
    results: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """What ``anonvma compare`` was asked; without a second, the arms of one.

    ``margin`` is in percent; without one it is the plan's. ``variants`` and ``bases``
    say which kernels: none where there is one only, one for both sides, or one each.
    ``effects`` is to compare what names add to a call, not the calls;
    ``allow_missing`` lets a comparison pass that could not compare every cell.
    """

    first: Path
    second: Path | None
    margin: float | None
    metric: str
    variants: tuple[str, ...]
    bases: tuple[str, ...]
    effects: bool
    allow_missing: bool
    format: str
    results: Path

    @property
    def two(self) -> bool:
        """Whether there are two sides: campaigns, or kernels of one."""
        return self.second is not None or 2 in (len(self.variants), len(self.bases))


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthRequest:
    """What ``anonvma truth`` was asked: each variant on each base, with one plan.

    No ``bases`` are all that can be had.
    """

    plan: TruthPlan
    variants: tuple[str, ...]
    bases: tuple[str, ...]
    arch: Arch
    name: str | None
    results: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantsRequest:
    """What ``anonvma mutants`` was asked; ``of_the_day`` is how many of them."""

    names: tuple[str, ...]
    of_the_day: int | None
    plan: AgreePlan


Request = (
    DoctorRequest
    | BuildRequest
    | BootRequest
    | KselftestRequest
    | RunRequest
    | ShowRequest
    | ImportRequest
    | TuneRequest
    | ImageRequest
    | ProbeRequest
    | AgreeRequest
    | ReplayRequest
    | MutantsRequest
    | TruthRequest
    | CompareRequest
    | ExportRequest
    | ReportRequest
)
