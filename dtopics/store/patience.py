"""Operations of a store, tried again where it may answer the next time.

File systems have retries of their own, for less: a store that is busy for a minute must not cost a
run. What cannot get better by waiting is said at once, with what to do.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from dtopics.errors import RunAccessError

T = TypeVar("T")

#: Seconds before each further try, each up to half as much again, so that many do not come at once.
WAITS_S = (0.2, 0.5, 1.0, 3.0, 8.0, 20.0)
#: Answers of a store that say nothing of the object.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LASTING = frozenset((
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR,
    errno.EISDIR, errno.ENAMETOOLONG, errno.ENOSYS, errno.EINVAL, errno.ENOTEMPTY, errno.ELOOP,
    errno.EMFILE, errno.ENFILE,
))  # fmt: skip
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: Libraries whose errors of connections are no OSErrors, and the names of those.
_CONNECTION = {
    "aiohttp": ("ClientError", "ServerTimeoutError"),
    "botocore": ("HTTPClientError", "ConnectionError", "EndpointConnectionError"),
    "azure": ("ServiceRequestError", "ServiceResponseError"),
    "urllib3": ("HTTPError",),
    "requests": ("ConnectionError", "Timeout"),
}


class Where(Protocol):
    """A place, for messages."""

    def without_secrets(self, text: str) -> str:
        """Return a text without what is secret of the place."""
        ...


def patiently(operation: Callable[[], T], where: Where) -> T:
    """Return what an operation returns, trying it again where that may help.

    Parameters
    ----------
    operation : callable
        Safe to be done twice.
    where : Location
        For messages.

    Raises
    ------
    RunAccessError
        Where there is no room or no permission.
    """
    for wait in (*WAITS_S, None):
        try:
            return operation()
        except Exception as error:
            said = _said(error, str(where))
            if said is not None:
                raise RunAccessError(where.without_secrets(said)) from error
            if wait is None or not may_pass(error):
                raise
        time.sleep(wait * random.uniform(1.0, 1.5))  # noqa: S311 (no secret)
    raise AssertionError


def may_pass(error: BaseException) -> bool:
    """Whether an error may be gone the next time.

    Examples
    --------
    >>> import errno
    >>> may_pass(TimeoutError()), may_pass(OSError(errno.EBUSY, "SlowDown"))
    (True, True)
    >>> may_pass(FileNotFoundError()), may_pass(ValueError())
    (False, False)
    """
    if isinstance(error, FileNotFoundError | FileExistsError | PermissionError | RunAccessError):
        return False
    for name in ("status_code", "code", "status"):
        code = getattr(error, name, None)
        if isinstance(code, int | str) and str(code).isdecimal():
            return int(code) in _PASSING
    for kind in type(error).__mro__:
        names = _CONNECTION.get(kind.__module__.partition(".")[0], ())
        if kind.__name__ in names:
            return True
    if isinstance(error, OSError):
        return error.errno not in _LASTING | _FULL
    return False


def _said(error: BaseException, where: str) -> str | None:
    if isinstance(error, OSError) and error.errno in _FULL:
        return (
            f"there is no room at {where} ({error.strerror}); what is finished is kept: make room "
            "and run the same command again"
        )
    if _is_denied(error):
        return (
            f"{where} may not be read or written: {error}. What is finished is kept: with "
            "credentials that are valid, run the same command again"
        )
    return None


def _is_denied(error: BaseException) -> bool:
    if isinstance(error, PermissionError) or getattr(error, "status_code", None) in {401, 403}:
        return True
    # S3 gives no reason where it is asked for a head: a token that has expired is a bad request
    said = getattr(error.__cause__, "response", None)
    code = said.get("Error", {}).get("Code") if isinstance(said, dict) else None
    return code in {"400", "InvalidToken", "TokenRefreshRequired"}
