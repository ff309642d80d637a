"""Work that runs ahead of whoever waits for its results."""

import queue
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], most: int) -> Generator[Item, None, None]:
    """Give the items in their order while a second thread makes up to `most` of them beforehand.

    An error that ends the items is raised where the next one would have come. Whoever stops asking
    early has to close the iterator, as leaving a generator does; the thread ends then.
    """
    # Handed over by the bundle: to wake another thread takes longer than to decode a frame.
    bundle_size = max(most // _BUNDLES, 1)
    waiting: queue.Queue[list[Item]] = queue.Queue(max(most // bundle_size - 1, 1))
    is_unwanted = threading.Event()

    def make() -> None:
        bundle: list[Item] = []
        try:
            for item in items:
                bundle.append(item)
                if len(bundle) == bundle_size:
                    waiting.put(bundle)
                    bundle = []
                if is_unwanted.is_set():
                    return
        finally:
            if bundle:
                waiting.put(bundle)
            waiting.put([])

    with ThreadPoolExecutor(1, "ahead") as helper:
        work: Future[None] = helper.submit(make)
        try:
            while bundle := waiting.get():
                yield from bundle
            work.result()
        finally:
            is_unwanted.set()
            while not work.done():
                _emptied(waiting)


_BUNDLES = 8


def _emptied(waiting: "queue.Queue[list[Item]]") -> None:
    """Make room, so that a thread that waits for it goes on and sees that it may end."""
    try:
        waiting.get(timeout=0.01)
    except queue.Empty:
        return
