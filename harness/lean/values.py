"""Base classes for the values in a worker's bytecode.

harness.targets.readymade turns dataclasses and named tuples into classes that derive
from these. They behave the same, but a worker need not import ``dataclasses``, which
would be most of its start. No source imports this module; a worker's bytecode does.
"""

from _collections import _tuplegetter  # type: ignore[import-not-found]
from collections.abc import Iterable, Mapping
from typing import Any


class Value:
    """Behaves as a frozen dataclass whose fields are its ``__slots__``."""

    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")


class NamedValues(tuple):  # type: ignore[type-arg]
    """Behaves as a named tuple whose fields are its ``_fields``."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    @staticmethod
    def at(index: int) -> object:
        """A descriptor that reads the field at an index."""
        return _tuplegetter(index, None)

    @classmethod
    def _make(cls, values: Iterable[object]) -> "NamedValues":
        return tuple.__new__(cls, values)

    def _asdict(self) -> dict[str, object]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changed: object) -> "NamedValues":
        return type(self)(**{**self._asdict(), **changed})

    def __repr__(self) -> str:
        shown = ", ".join(f"{n}={v!r}" for n, v in self._asdict().items())
        return f"{type(self).__name__}({shown})"


def asdict(value: Any) -> dict[str, Any]:
    """A value as a dictionary; values nested in it become dictionaries too."""
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def replace(value: Any, **changed: Any) -> Any:
    """A copy of a value with some fields changed."""
    known = {name: getattr(value, name) for name in value.__slots__}
    return type(value)(**{**known, **changed})


def _values(value: Value) -> tuple[object, ...]:
    return tuple([getattr(value, name) for name in value.__slots__])


def _plain(found: Any) -> Any:
    if isinstance(found, Value):
        return asdict(found)
    if isinstance(found, tuple | list):
        return type(found)(map(_plain, found))
    if isinstance(found, Mapping):
        return {key: _plain(value) for key, value in found.items()}
    return found
