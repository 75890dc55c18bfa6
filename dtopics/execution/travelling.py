"""Users' functions on their way to workers."""

from __future__ import annotations

import importlib
import io
import sys
from types import MethodType
from typing import Any

import cloudpickle

from dtopics.errors import SettingError


class Travelling:
    """A function that pickles where pickle alone would not have it.

    A method that a module offers as its function, such as ``jieba.lcut``, is a method of an object
    with locks and caches: it travels as the module's name and its own, also where another function
    uses it.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self.function(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the function's bytes and what makes it of them again."""
        buffer = io.BytesIO()
        _Pickler(buffer).dump(self.function)
        return arrived, (buffer.getvalue(),)

    def check(self, what: str) -> None:
        """See that the function can travel.

        Raises
        ------
        SettingError
            Naming `what` it is and what holds it back.
        """
        try:
            self.__reduce__()
        except Exception as error:
            name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
            message = (
                f"{what} ({name}) cannot be sent to workers: {type(error).__name__}: {error}. Put "
                "it in a module that they can import, or have it make what it needs by itself"
            )
            raise SettingError(message) from error


def arrived(data: bytes) -> Travelling:
    """Return a function whose bytes have arrived."""
    return Travelling(cloudpickle.loads(data))


def named(module: str, name: str) -> Any:
    """Return a module's function."""
    return getattr(importlib.import_module(module), name)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, MethodType):
            module, name = obj.__func__.__module__, obj.__func__.__name__
            if module != "__main__" and getattr(sys.modules.get(module), name, None) == obj:
                return named, (module, name)
        return super().reducer_override(obj)
