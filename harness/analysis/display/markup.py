"""What notebooks show as HTML, from templates in which nothing goes unescaped."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.host.programs import printable_lines

_TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, **values: object) -> str:
    """A template with these values; each is shown as text.

    What could steer a terminal, for those who read the source in one, is shown as
    its escape.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_printable,
    )  # fmt: skip
    return environment.get_template(template).render(**values)


def _printable(value: object) -> object:
    return printable_lines(value) if type(value) is str else value
