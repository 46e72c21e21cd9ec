"""HTML for notebooks, from templates that escape every value."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.host.programs import printable_lines

_TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, **values: object) -> str:
    """The template with these values, each shown as text.

    Control characters are shown as escapes, for readers of the source in a terminal.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_printable,
    )  # fmt: skip
    return environment.get_template(template).render(**values)


def _printable(value: object) -> object:
    return printable_lines(value) if type(value) is str else value
