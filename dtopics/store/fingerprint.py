"""Names for what a stage's data depends on, equal in every process and after any restart.

`dask.base.tokenize` promises nothing across interpreters, so nothing lasting is keyed by it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
import math
import os
import re
import uuid
import warnings
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any

import numpy as np

#: Functions that are being described: one that reaches itself is named only.
_under_way: set[int] = set()


def fingerprint(name: str, config: Mapping[str, Any], reads: Sequence[str] = ()) -> str:
    """Return the key of a stage.

    Parameters
    ----------
    name : str
        The stage's name.
    config : mapping
        Everything that its data depends on; `describe` makes it JSON.
    reads : sequence of str
        Keys of the stages that it reads. Together they form a graph, so that a stage that
        does not read a changed one keeps its key.

    Returns
    -------
    str
        20 hexadecimal digits of a SHA-256.

    Examples
    --------
    >>> fingerprint("tokens", {"lowercase": True}) == fingerprint("tokens", {"lowercase": True})
    True
    """
    content = {"name": name, "config": describe(config), "reads": list(reads)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def describe(value: Any) -> Any:  # noqa: PLR0911 (one line per kind of value)
    """Return `value` as JSON that is equal where its meaning is.

    Callables are described by import path and package version, lambdas and a script's functions
    by code and closure, estimators by class and parameters, any object by its ``cache_key`` where
    it has one. What cannot be described gets a name of its own each time, with a warning: the
    stages that depend on it are not reused.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return _finite(value)
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in sorted(value.items(), key=_key)}
    if isinstance(value, set | frozenset):
        return sorted((describe(item) for item in value), key=json.dumps)
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"array": [str(value.dtype), list(value.shape), digest]}
    if hasattr(value, "cache_key"):
        return {"cache_key": describe(value.cache_key)}
    if isinstance(value, functools.partial):
        return {"partial": [describe(value.func), describe(value.args), describe(value.keywords)]}
    if isinstance(value, type):
        return _describe_class(value)
    if hasattr(value, "get_params"):
        return {**describe(type(value)), "params": describe(value.get_params(deep=False))}
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {**describe(type(value)), "params": describe(fields)}
    if callable(value) and hasattr(value, "__qualname__"):
        return _describe_function(value)
    return _describe_other(value)


def _finite(value: Any) -> Any:
    """Return a number that JSON lacks, such as infinity, by its name."""
    lacking = isinstance(value, float) and not math.isfinite(value)
    return {"float": repr(value)} if lacking else value


@functools.cache
def package_version(module: str) -> str | None:
    """Return the version of the distribution that `module` belongs to, or None."""
    name = module.partition(".")[0]
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    for distribution in importlib.metadata.packages_distributions().get(name, ()):
        return importlib.metadata.version(distribution)
    return None


def versions(*names: str) -> dict[str, str]:
    """Return the installed versions of distributions, leaving out what is not there.

    Examples
    --------
    >>> sorted(versions("numpy", "no-such-package"))
    ['numpy']
    """
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _key(item: tuple[Any, Any]) -> str:
    return str(item[0])


def _import_path(value: Any) -> str:
    return f"{_module(value)}:{value.__qualname__}"


def _module(value: Any) -> str:
    """Return where a class or callable was made; methods of builtin types do not say it."""
    owner = getattr(value, "__objclass__", None)
    return str(getattr(value, "__module__", None) or getattr(owner, "__module__", "builtins"))


def _describe_function(function: Any) -> dict[str, Any]:
    owner = getattr(function, "__self__", None)
    described: dict[str, Any] = {"callable": _import_path(function)}
    if owner is not None and not inspect.ismodule(owner):
        described["self"] = describe(owner)
    version = package_version(_module(function))
    if version is not None and "<" not in function.__qualname__:
        return {**described, "version": version}
    code = getattr(function, "__code__", None)
    if code is None:
        return {**described, "builtin": True}
    if id(function) in _under_way:
        return described
    _under_way.add(id(function))
    try:
        closure = [describe(cell.cell_contents) for cell in function.__closure__ or ()]
        read = {
            name: describe(function.__globals__[name])
            for name in sorted(_names(code) & function.__globals__.keys())
            if not inspect.ismodule(function.__globals__[name])
        }
    finally:
        _under_way.discard(id(function))
    return {
        **described,
        "code": hashlib.sha256(json.dumps(_describe_code(code)).encode()).hexdigest(),
        "closure": closure,
        "globals": read,
        "defaults": describe([function.__defaults__, function.__kwdefaults__]),
    }


def _names(code: CodeType) -> set[str]:
    """Return the names that a function, or one inside it, looks up outside itself."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*(_names(constant) for constant in inner))


def _describe_class(kind: type) -> dict[str, Any]:
    """Return a class by path and version; one of a script by its methods' code as well."""
    described = {"class": _import_path(kind), "version": package_version(kind.__module__)}
    if described["version"] is None and kind.__module__ != "builtins":
        methods = {
            name: _describe_code(member.__code__)
            for name, member in sorted(vars(kind).items())
            if inspect.isfunction(member)
        }
        described["code"] = hashlib.sha256(json.dumps(methods).encode()).hexdigest()
    return described


def _describe_code(code: CodeType) -> list[Any]:
    """Return what a function does, wherever it stands: two lambdas on one line differ."""
    constants = [
        _describe_code(constant)
        if isinstance(constant, CodeType)
        else sorted(map(repr, constant))
        if isinstance(constant, frozenset)
        else repr(constant)
        for constant in code.co_consts
    ]
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames)]


def _describe_other(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, re.Pattern):
        return {"pattern": value.pattern, "flags": value.flags}
    warnings.warn(
        f"{type(value).__name__} objects cannot be described, so what depends on this one is "
        "computed again in every run; give it a `cache_key` attribute to have it reused",
        UserWarning,
        stacklevel=2,
    )
    return {"unknown": _import_path(type(value)), "unique": uuid.uuid4().hex}
