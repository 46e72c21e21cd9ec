"""A campaign as one page that opens offline, and as a mail for linux-mm.

Whatever comes from records is shown as text: escaped in the page, made plain
ASCII in the mail.
"""

import html
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.analysis.aa_check import AACheck, aa_checks
from harness.analysis.claims import Claim, answer_claims
from harness.analysis.distrust import distrust
from harness.analysis.effects import Effect, cell_effects
from harness.analysis.frames import load
from harness.analysis.identity import Identity, identity_of
from harness.analysis.plots import (
    plot_aa,
    plot_effects,
    plot_lengths,
    plot_order,
    plot_slopes,
    svg_of,
)
from harness.analysis.shown import AA_PERCENT, bounds, percent, shown
from harness.analysis.slopes import Slope, slopes
from harness.analysis.tables import (
    aa_table,
    effects_table,
    noise_table,
    published_table,
    slopes_table,
)
from harness.programs import printable, printable_lines

_COLUMNS = 72
_FACTS = (
    "variant", "base", "kernel_release", "kernel_version", "build_id", "config_sha256",
    "target", "machine", "accelerator", "cpu", "clock", "unit", "settings", "harness",
    "python",
)  # fmt: skip

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #c4320a; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto;
       padding: 1rem; color: CanvasText; background: Canvas; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { margin-top: 2.2rem; }
.box { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line);
         text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.claims li { margin: .6rem 0; } .finding { font-weight: 700; }
.good { color: var(--good); } .bad { color: var(--bad); }
.alarm { border: 2px solid var(--bad); padding: .6rem 1rem; font-weight: 700; }
svg { width: 100%; height: auto; max-width: 46rem; display: block; }
svg text { fill: currentColor !important; }
svg [style*="stroke: #000000"] { stroke: currentColor !important; }
svg [style*="fill: #ffffff"] { fill: none !important; }
pre { overflow-x: auto; background: #8881; padding: .8rem; font-size: .85rem; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What both forms say, worked out once."""

    identity: Identity
    frame: pd.DataFrame
    found: list[Effect]
    nulls: list[AACheck]
    claims: list[Claim]
    slopes: list[Slope]
    warnings: list[str]

    @property
    def trusted(self) -> bool:
        """Whether there were identical arms, and all were alike."""
        return bool(self.nulls) and all(null.holds for null in self.nulls)


def report_of(path: Path) -> Report:
    """The report of a campaign's folder or exported Parquet.

    Raises UsageError and RecordError as ``load`` and ``identity_of`` do.
    """
    frame, identity = load(path), identity_of(path)
    found = cell_effects(frame, margin=identity.margin)
    return Report(
        identity=identity,
        frame=frame,
        found=found,
        nulls=aa_checks(frame, margin=identity.margin),
        claims=answer_claims(found),
        slopes=slopes(frame),
        warnings=distrust(frame, margin=identity.margin),
    )


def render_html(report: Report) -> str:
    """One page: no script, nothing from elsewhere."""
    title = f"What a named VMA costs: {report.identity.name}"
    parts = [
        f"<h1>{_e(title)}</h1>",
        f"<p>{_e(_sentence(report))}</p>",
        *_html_null(report),
        *_html_claims(report),
        *_html_cells(report),
        *_html_plots(report),
        *_html_distrust(report),
        *_html_machine(report),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _html_null(report: Report) -> list[str]:
    parts = ["<h2>Two identical arms</h2>"]
    if report.trusted:
        parts.append(f'<p class="good">{_e(_null_words(report))}</p>')
    else:
        parts.append(f'<p class="alarm">{_e(_null_words(report))}</p>')
    if report.nulls:
        parts += [svg_of(plot_aa(report.nulls)), _table(aa_table(report.nulls))]
    return parts


def _html_claims(report: Report) -> list[str]:
    if not report.claims:
        return []
    items = [
        f'<li><span class="finding">{_e(c.finding.value)}</span>: {_e(c.claim)}<br>'
        f"{_e(c.place.words)}: {_e(c.words)}"
        f"{'' if c.trusted else ' ' + _UNTRUSTED}</li>"
        for c in report.claims
    ]
    parts = [
        "<h2>What was claimed in 2021</h2>",
        f'<ul class="claims">{"".join(items)}</ul>',
    ]
    published = published_table(report.found)
    if not published.empty:
        parts += ["<h3>The published cells, and ours</h3>", _table(published)]
    return parts


_UNTRUSTED = '<span class="bad">(not to be trusted: identical arms differ)</span>'


def _html_cells(report: Report) -> list[str]:
    if not report.found:
        return []
    return [
        "<h2>Every cell</h2>",
        f"<p>Named minus unnamed within one kernel and boot; equivalent means within "
        f"{report.identity.margin:g} %, which was chosen beforehand.</p>",
        _table(effects_table(report.found)),
    ]


def _html_plots(report: Report) -> list[str]:
    parts = []
    if report.slopes:
        parts += ["<h2>Cost over the number of VMAs</h2>",
                  svg_of(plot_slopes(report.slopes)),
                  _table(slopes_table(report.slopes))]  # fmt: skip
    if report.found:
        parts += ["<h2>Effects</h2>", svg_of(plot_effects(report.found))]
    if len({a.arm.name_length for a in report.found}) > 3:
        parts += ["<h2>Cost over the length of a name</h2>",
                  svg_of(plot_lengths(report.found))]  # fmt: skip
    parts += ["<h2>Samples in their order</h2>", svg_of(plot_order(report.frame))]
    return parts


def _html_distrust(report: Report) -> list[str]:
    items = "".join(f"<li>{_e(warning)}</li>" for warning in report.warnings)
    return [
        "<h2>What to distrust</h2>",
        f"<ul>{items}</ul>" if items else "<p>Nothing in the records.</p>",
        _table(noise_table(report.frame)),
    ]


def _html_machine(report: Report) -> list[str]:
    facts = report.frame[list(_FACTS)].drop_duplicates()
    commands = "\n".join(_commands(report))
    return [
        "<h2>Machine, kernels, commands</h2>",
        *(_table(facts.iloc[[row]].T.reset_index(), header=False)
          for row in range(len(facts))),
        f"<pre>{_e(commands)}</pre>",
        f"<p>records.jsonl: SHA-256 {_e(report.identity.records_sha256)}</p>",
    ]  # fmt: skip


def render_mail(report: Report) -> str:
    """Plain text of 72 columns for linux-mm."""
    lines = [f"Subject: anon VMA names: {report.identity.name}", ""]
    lines += _wrapped(_sentence(report))
    lines += ["", *_wrapped(_null_words(report)), ""]
    if report.nulls:
        lines += [*_wrapped(f"One over the other, {_percent(report.nulls)}:"), ""]
        lines += [*map(_null_row, report.nulls), ""]
    if report.claims:
        lines += ["What was claimed in 2021:", ""]
        for c in report.claims:
            trust = "" if c.trusted else " (NOT TO BE TRUSTED)"
            lines += _wrapped(f"* {c.finding.value}: {c.claim}{trust}", indent="  ")
            lines += _wrapped(f"  {c.place.words}: {c.words}", indent="  ")
    if report.found:
        lines += ["", *_wrapped(f"Named over unnamed, {_percent(report.found)}:"), ""]
        lines += [_mail_row(a) for a in report.found]
    for slope in report.slopes:
        place = slope.place
        text = (
            f"slope, {slope.words} ({place.base} {place.variant}, {place.target}): "
            f"{slope.line.slope:.1f} {place.unit} a VMA, straight up to "
            f"{slope.line.linear_to} VMAs"
        )
        lines += _wrapped(text)
    if report.warnings:
        lines += ["", "To distrust:"]
        for warning in report.warnings:
            lines += _wrapped(f"* {warning}", indent="  ")
    facts = report.frame[["kernel_release", "target", "machine", "cpu"]]
    lines += [""]
    for row in facts.drop_duplicates().itertuples(index=False):
        lines += _wrapped(" ".join(map(str, row)))
    lines += ["", *_commands(report)]
    return "\n".join(_ascii(line) for line in lines) + "\n"


def _mail_row(e: Effect) -> str:
    cell = f"{e.arm.vmas} VMAs {e.arm.pages}p {e.arm.names}"
    return f"{e.arm.store:10} {cell:31} {percent(e.percent)}"


def _sentence(report: Report) -> str:
    runs = report.frame[["run", "session", "boot", "run_valid"]].drop_duplicates()
    good = runs[runs["run_valid"]]
    places = sorted({a.place.words for a in report.found}) or sorted(
        {n.place.words for n in report.nulls}
    )
    left = len(runs) - len(good)
    aside = f" Left aside are {left} processes, invalid or measured again." * (left > 0)
    return (
        f"{int(report.frame['run_valid'].sum())} samples of {len(good)} processes in "
        f"{len(good[['session', 'boot']].drop_duplicates())} boots: "
        f"{'; '.join(places)}.{aside}"
    )


def _null_words(report: Report) -> str:
    if not report.nulls:
        return "No identical arms were measured: NO VERDICT BELOW CAN BE TRUSTED."
    failed = sum(not null.holds for null in report.nulls)
    if failed:
        return (
            f"Identical arms differ in {failed} of {len(report.nulls)} layouts: "
            "VERDICTS ON THOSE ARE NOT TO BE TRUSTED."
        )
    return (
        f"Two identical unnamed arms are alike in all {len(report.nulls)} layouts. "
        "How far they lie apart in a layout is what cannot be told from nothing there."
    )


def _percent(told: Sequence[Effect | AACheck]) -> str:
    return f"percent [{bounds([each.percent for each in told])}]"


def _null_row(check: AACheck) -> str:
    pages = f"{check.arm.vmas} VMAs {check.arm.pages}p"
    differ = "" if check.holds else " DIFFER"
    return (
        f"{check.place.variant:10.10} {pages:24} "
        f"{shown(check.percent, AA_PERCENT)}{differ}"
    )


def _commands(report: Report) -> list[str]:
    identity = report.identity
    unplanned = (
        f"# measured elsewhere, without a plan: {identity.margin:g} % is the default "
        "margin"
    )
    return [
        *(_command(identity.command) or _wrapped(unplanned, indent="# ")),
        *_command(("anonvma", "report", identity.name)),
    ]


def _command(words: Iterable[str]) -> list[str]:
    """A command in lines of a mail, which a shell takes for one."""
    lines: list[str] = []
    line = ""
    for word in words:
        for at, piece in enumerate(_pieces(word)):
            gap = "" if at or not line else " "
            if len(line + gap + piece) > _COLUMNS - 2:
                lines.append(f"{line}{gap}\\")
                line = "    " if gap else ""
                gap = ""
            line += gap + piece
    return [*lines, line] if line else []


def _pieces(word: str) -> list[str]:
    # A shell joins what stands side by side, so a long word can be cut.
    if len(whole := _shell(word)) <= _COLUMNS - 6:
        return [whole]
    return [_shell(word[at : at + 16]) for at in range(0, len(word), 16)]


def _shell(word: str) -> str:
    plain = word.isascii() and word.replace("-", "").replace(":", "").isalnum()
    plain = plain or all(c.isalnum() or c in "-_.,:/=%" for c in word)
    return word if plain else "'" + word.replace("'", "'\\''") + "'"


def _wrapped(text: str, *, indent: str = "") -> Iterable[str]:
    return textwrap.wrap(text, _COLUMNS, subsequent_indent=indent)


def _ascii(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _table(table: pd.DataFrame, *, header: bool = True) -> str:
    if "kernel" not in table.columns:
        return _plain_table(table, header=header)
    # A kernel and its machine are many words: once above, not in each row.
    return "".join(
        f"<p>{_e(str(where))}</p>{_plain_table(rows.drop(columns='kernel'))}"
        for where, rows in table.groupby("kernel", sort=False)
    )


def _plain_table(table: pd.DataFrame, *, header: bool = True) -> str:
    # Who reads the page's source in a terminal is not steered either.
    table = table.map(lambda value: printable(value) if type(value) is str else value)
    text = table.to_html(
        index=False, border=0, escape=True, header=header,
        float_format=lambda value: f"{value:,.10g}",
    )  # fmt: skip
    return f'<div class="box">{text}</div>'


def _e(text: str) -> str:
    return html.escape(printable_lines(text))
