"""Numba's compiler with the settings that every kernel of dtopics shares.

No ``fastmath`` (results must not depend on how a loop is vectorised), the GIL released, and the
machine code cached on disk where a cache can be written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def jit(*, parallel: bool = False, inline: str = "never") -> Callable[[F], F]:
    """Compile a function with numba, cached where a cache can be written.

    Parameters
    ----------
    parallel : bool, default=False
        Run ``prange`` loops over threads. Each iteration must write its own rows only.
    inline : {"never", "always"}, default="never"
        Numba's ``inline``.
    """

    def compile_(function: F) -> F:
        options: dict[str, Any] = {"nogil": True, "parallel": parallel, "inline": inline}
        try:
            return njit(cache=True, **options)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # numba found no directory where it may write its cache
            return njit(**options)(function)  # type: ignore[no-any-return]

    return compile_
