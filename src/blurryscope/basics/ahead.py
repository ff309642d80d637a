"""Work that runs ahead of whoever waits for its results."""

import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], most: int) -> Iterator[Item]:
    """Give the items in their order while a second thread makes up to `most` of them beforehand.

    An error that ends the items is raised where the next one would have come. Whoever stops asking
    early has to close the iterator, as leaving a generator does; the thread ends then.
    """
    waiting: queue.Queue[Item | None] = queue.Queue(most)
    is_unwanted = threading.Event()

    def make() -> None:
        try:
            for item in items:
                waiting.put(item)
                if is_unwanted.is_set():
                    return
        finally:
            waiting.put(None)

    with ThreadPoolExecutor(1, "ahead") as helper:
        work: Future[None] = helper.submit(make)
        try:
            while (item := waiting.get()) is not None:
                yield item
            work.result()
        finally:
            is_unwanted.set()
            while not work.done():
                _emptied(waiting)


def _emptied(waiting: "queue.Queue[Item | None]") -> None:
    """Make room, so that a thread that waits for it goes on and sees that it may end."""
    try:
        waiting.get(timeout=0.01)
    except queue.Empty:
        return
