"""Progress of a job as numbers of a fixed size, through a pipe on which nobody waits."""

import contextlib
import os
import struct

_MESSAGE = struct.Struct("<4sII")  # a mark, work done, work in total
_MARK = b"kdb1"
_MOST_AT_ONCE = 64 * _MESSAGE.size


class ProgressReader:
    """The launcher's end. It takes whatever comes as bytes, and believes only numbers that make sense."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def newest(self) -> tuple[int, int] | None:
        """Return the newest (done, total), None if there is nothing new that makes sense."""
        with contextlib.suppress(OSError):
            received = os.read(self._descriptor, _MOST_AT_ONCE)
            start = received.rfind(_MARK)
            if start >= 0 and len(received) - start >= _MESSAGE.size:
                _, done, total = _MESSAGE.unpack_from(received, start)
                return (done, total) if 0 <= done <= total and total > 0 else None
        return None


class ProgressWriter:
    """The job's end. A message that finds the pipe full or closed is dropped: the next one says more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def __call__(self, done: int, total: int) -> None:
        with contextlib.suppress(OSError, struct.error):
            os.write(self._descriptor, _MESSAGE.pack(_MARK, done, total))
