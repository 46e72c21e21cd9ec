"""JSON and SHA-256 by the interpreter's C modules, without ``json`` and ``hashlib``.

``json`` imports regular expressions, and ``hashlib`` imports OpenSSL if that is built
in: together a third of a worker's imports. If an interpreter lacks the C modules or
names them differently, ``json`` and ``hashlib`` are used.
"""

from typing import Any

try:
    from _json import encode_basestring_ascii as _quoted
    from _json import make_scanner as _make_scanner
except ImportError:
    _make_scanner = None  # type: ignore[assignment,misc]

try:
    # Since Python 3.12.
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256

__all__ = ["parse_json", "render_json", "sha256"]


class _Strict:
    """The options of a scanner: those of ``json.loads`` without arguments."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo: dict[str, str] = {}  # noqa: RUF012 (the scanner uses and clears it)


def parse_json(text: bytes) -> Any:
    """Parse a JSON text in UTF-8. Raises ValueError for anything else."""
    words = text.decode().strip(" \t\n\r")
    if _make_scanner is None:
        import json

        return json.loads(words)
    # Any: it has only the attributes of json.JSONDecoder that the scanner reads.
    context: Any = _Strict()
    try:
        found, end = _make_scanner(context)(words, 0)
    except StopIteration:
        raise ValueError("a JSON value is missing") from None
    if end != len(words):
        raise ValueError(f"extra text after the JSON value, from character {end} on")
    return found


def render_json(value: object) -> str:
    """A value as ``json.dumps`` writes it without spaces.

    Takes None, bool, int, str, and lists, tuples and dictionaries of these; keys must
    be str. Raises TypeError for anything else.
    """
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(render_json, value)) + "]"
    if isinstance(value, dict):
        parts = [f"{_text(key)}:{render_json(of)}" for key, of in value.items()]
        return "{" + ",".join(parts) + "}"
    raise TypeError(f"a record cannot contain a {type(value).__name__}")


def _text(value: str) -> str:
    if _make_scanner is None:
        import json

        return json.dumps(value)
    return _quoted(value)
