"""What a user made, on its way to workers.

A method that a module offers as its function, such as ``jieba.lcut``, is a method of an object with
locks and caches, which pickle cannot have: it travels as the module's name and its own, also where
another function uses it.
"""

from __future__ import annotations

import importlib
import io
import sys
from types import MethodType
from typing import Any

import cloudpickle

from dtopics.errors import SettingError


def dumps(value: Any) -> bytes:
    """Return what ``pickle.loads`` makes the value of again."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


def check_travels(function: Any, what: str) -> None:
    """See that a user's function can be sent to workers.

    Raises
    ------
    SettingError
        Naming `what` it is and what holds it back.
    """
    try:
        dumps(function)
    except Exception as error:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        message = (
            f"{what} ({name}) cannot be sent to workers: {type(error).__name__}: {error}. Put it "
            "in a module that they can import, or have it make what it needs by itself"
        )
        raise SettingError(message) from error


def named(module: str, name: str) -> Any:
    """Return a module's function."""
    return getattr(importlib.import_module(module), name)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, MethodType):
            module, name = obj.__func__.__module__, obj.__func__.__name__
            there = getattr(sys.modules.get(module), name, None)
            if module != "__main__" and isinstance(there, MethodType) and there == obj:
                return named, (module, name)
        return super().reducer_override(obj)
