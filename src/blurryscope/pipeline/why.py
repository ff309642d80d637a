"""The folder `why/`: for each core with probabilities, a picture of where they come from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from blurryscope.artifacts.small_pictures import jpeg_of
from blurryscope.artifacts.view_places import WeighedView, write_view_places
from blurryscope.artifacts.whole import whole_folder
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.classify.evidence import Seen, core_map
from blurryscope.classify.predict import Classifier, Scored
from blurryscope.pipeline.core_stacks import CoreStack
from blurryscope.report.slide_folder import WHY
from blurryscope.report.why_picture import why_picture

_JPEG_QUALITY = 85


class _Why(NamedTuple):
    """What explains the score of a core."""

    views: tuple[WeighedView, ...]
    jpeg: bytes


class WhyFolder:
    """Takes cores one by one; `open_why` puts the folder in its place when all are done."""

    def __init__(self, folder: Path, classifier: Classifier) -> None:
        self._folder = folder
        self._classifier = classifier
        self._views: dict[CoreName, tuple[WeighedView, ...]] = {}

    def explain(self, cores: Sequence[CoreStack], scored: Sequence[Scored]) -> None:
        """Write the pictures of cores that have an answer; none where the network cannot tell."""
        answered = [
            (core, one.seen)
            for core, one in zip(cores, scored, strict=True)
            if one.prediction.probabilities is not None
        ]
        for (core, _), why in zip(answered, side_by_side(self._why, answered), strict=True):
            if why is not None:
                self._views[core.sample.core] = why.views
                (self._folder / f"{core.sample.core}.jpg").write_bytes(why.jpeg)

    def _why(self, answered: tuple[CoreStack, Seen | None]) -> "_Why | None":
        core, seen = answered
        found = self._classifier.evidence(core.placed.stack, seen)
        if found is None:
            return None
        (maps,), (attention,) = found.maps, found.attention
        places = core.placed.places
        views = tuple(
            WeighedView(place=place, weight=float(weight))
            for place, weight in zip(places, attention, strict=True)
        )
        evidence = core_map(maps, attention, places, core.size_px)
        picture = why_picture(core.small, core.tissue, evidence, views, core.reduction)
        bgr = np.ascontiguousarray(picture[..., ::-1])
        return _Why(views, jpeg_of(bgr, _JPEG_QUALITY))

    def close(self) -> None:
        """Write the table of views."""
        write_view_places(self._folder / "views.csv", self._views)


@contextmanager
def open_why(folder: Path, classifier: Classifier) -> Iterator[WhyFolder]:
    """Give a place for the pictures of one scan; the old ones go when the new ones are complete."""
    with whole_folder(folder / WHY) as partial:
        why = WhyFolder(partial, classifier)
        yield why
        why.close()
