"""Many image files as one array: decoded by all cores, in their order, with memory for a few pictures at a time.

Why threads: Pillow decodes without the GIL.  Why a file without a name: it is gone with the process, however that ends.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from searchlab.data import Array
from searchlab.data.rows import kept, stored
from searchlab.errors import DataError
from searchlab.lazy import lazy

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = lazy("PIL.Image")

AHEAD = 4
"""Pictures that each thread may be ahead of the one that is waited for."""

NEWS = 10.0
"""Seconds between two lines of the log."""

Picture: TypeAlias = Array | str
"""Its pixels, or what is wrong with the file."""

log = logging.getLogger(__name__)


def decode(
    files: Sequence[Path], shape: tuple[int, int, int], read: Callable[[Path], Picture]
) -> tuple[Array, dict[int, str]]:
    """(n, *shape) uint8 of the files that are pictures, in their order; and by number what is wrong with the others.

    Raises:
        DataError: There is no room for the decoded pictures.
    """
    bad: dict[int, str] = {}
    file = tempfile.TemporaryFile()  # lives as long as the array that is read from it
    began = told = time.monotonic()
    try:
        for number, picture in enumerate(_in_order(files, read)):
            if isinstance(picture, str):
                bad[number] = picture
            else:
                file.write(picture.data)
            if time.monotonic() - told > NEWS:
                told = time.monotonic()
                log.info("%d of %d images decoded, %.0f a second", number + 1, len(files), number / (told - began))
        file.flush()
    except OSError as error:
        room = len(files) * math.prod(shape) / 2**30
        raise DataError(
            f"{len(files)} decoded images of {shape} need {room:.1f} GiB in {tempfile.gettempdir()} "
            f"({error.strerror}); name a folder with more room by TMPDIR, or a smaller `size`."
        ) from error
    return kept(stored(file, (len(files) - len(bad), *shape), "uint8")), bad


def _in_order(files: Sequence[Path], read: Callable[[Path], Picture]) -> Iterator[Picture]:
    threads = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    waiting: deque[Future[Picture]] = deque()
    left = iter(files)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, "decode") as pool:
        # Filters belong to the whole process, so they are set here, once, and not by each thread.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels is asked before anything is read
        warnings.simplefilter("ignore", UserWarning)  # odd EXIF, palette transparency: read all the same
        try:
            while True:
                while len(waiting) < threads * AHEAD and (path := next(left, None)) is not None:
                    waiting.append(pool.submit(read, path))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
