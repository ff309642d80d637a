"""The same work on many things, by a few threads, with the results in their order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREADS = min(os.cpu_count() or 1, 4)
"""NumPy, OpenCV and files let go of the interpreter only for a while: more would wait for it."""
_WAITING = 2 * _THREADS
"""Results that may wait for whoever takes them: memory does not grow with the items."""


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Give what `work` makes of each item, in their order, while threads are at the next ones.

    An error is raised where its result would have come. Once nobody asks any more, what was begun
    is finished and nothing else begun.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(_THREADS, "side by side") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > _WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for unwanted in waiting:
                unwanted.cancel()
