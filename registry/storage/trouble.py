"""The operating system's troubles with files as domain errors, for everyone who touches bytes."""

import contextlib
import errno
import logging
from collections.abc import Iterator
from typing import Final

from registry.errors import StorageFull, StorageUnavailable

_log = logging.getLogger(__name__)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise StorageFull or StorageUnavailable in place of an OSError.

    A missing file stays what it is, callers know what it means; and so does a client that is gone.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, BlockingIOError, ConnectionError):
        raise
    except OSError as error:
        _log.error("storage: %s", error.strerror or error)
        if error.errno in _FULL:
            raise StorageFull from error
        raise StorageUnavailable from error
