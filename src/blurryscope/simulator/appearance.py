"""How tissue and stain differ from slide to slide and from core to core."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from blurryscope.basics.her2 import Score


class Architecture(StrEnum):
    """How the tumour grows."""

    NESTS = "nests"
    """Solid islands of polygonal cells."""
    DUCTS = "ducts"
    """Glands: tall cells side by side around an empty lumen."""
    SINGLE_CELLS = "single cells"
    """Cords and single cells strewn in the stroma."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """One core's look apart from its score. The defaults are a middling, well stained core."""

    architecture: Architecture = Architecture.NESTS
    tumour_fraction: float = 0.55
    """Share of the core that tumour cells cover, lumens included."""
    cell_size_um: float = 12.0
    """From one cell's middle to the next."""
    structure_um: float = 95.0
    """Width of nests and glands, roughly."""
    haematoxylin_strength: float = 1.0
    dab_strength: float = 1.0
    haematoxylin_hue: float = 0.0
    """-1 is greenish blue, 1 is violet."""
    dab_hue: float = 0.0
    """-1 is yellow brown, 1 is reddish brown."""
    dab_background: float = 0.01
    """Unspecific brown over all tissue, as optical density."""
    section_thickness: float = 1.0
    """Against the usual 4 µm; scales everything."""
    lymphocyte_fraction: float = 0.15
    """How much of the stroma is crowded with small round cells."""
    heterogeneity: float = 0.6
    """0: stained cells are mixed at random; 1: they fill whole regions."""
    tear_fraction: float = 0.03
    """Share of the core that is missing in cracks and holes."""
    fold_count: int = 0
    brown_cytoplasm: float = 0.0
    """DAB inside tumour cells that no membrane explains, as optical density."""
    necrosis_fraction: float = 0.0
    """Share of the tumour that is dead: debris without cells, a little brown."""
    benign_fraction: float = 0.0
    """Share of the epithelium that is no tumour (normal glands, in-situ): stains by itself, is not
    counted for the score."""
    brown_edge: float = 0.0
    """DAB caught at the rim of the core, as optical density."""

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must lie in 0..1, got {value}")
        for name in ("cell_size_um", "structure_um", "section_thickness"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


_SHARES = (
    "tumour_fraction", "lymphocyte_fraction", "heterogeneity", "tear_fraction",
    "necrosis_fraction", "benign_fraction",
)  # fmt: skip


def random_appearance(rng: np.random.Generator) -> Appearance:
    """One core out of the width that laboratories, tumours and sections really have."""
    architecture = rng.choice(list(Architecture), p=[0.45, 0.37, 0.18])
    sparse = architecture == Architecture.SINGLE_CELLS
    return Appearance(
        architecture=Architecture(architecture),
        tumour_fraction=float(rng.uniform(0.12, 0.4) if sparse else rng.uniform(0.25, 0.85)),
        cell_size_um=float(rng.uniform(9.0, 14.0)),
        structure_um=float(rng.uniform(60.0, 150.0)),
        haematoxylin_strength=float(rng.lognormal(0.0, 0.25)),
        dab_strength=float(rng.lognormal(0.0, 0.15)),
        haematoxylin_hue=float(rng.uniform(-1.0, 1.0)),
        dab_hue=float(rng.uniform(-1.0, 1.0)),
        dab_background=float(rng.exponential(0.009)),
        section_thickness=float(rng.lognormal(0.0, 0.1)),
        lymphocyte_fraction=float(rng.beta(1.2, 5.0)),
        heterogeneity=float(rng.uniform(0.3, 0.95)),
        tear_fraction=float(rng.beta(1.0, 30.0)),
        fold_count=int(rng.random() < 0.12),
    )


def trying_appearance(rng: np.random.Generator) -> Appearance:
    """A core that makes scoring hard more often than slides do: what a network should know."""
    return replace(
        random_appearance(rng),
        haematoxylin_strength=float(rng.lognormal(-0.05, 0.4)),
        dab_strength=float(rng.lognormal(0.0, 0.17)),
        brown_cytoplasm=float(rng.exponential(0.02) * (rng.random() < 0.4)),
        necrosis_fraction=float(rng.beta(1.5, 5.0) * (rng.random() < 0.15)),
        benign_fraction=float(rng.beta(1.5, 4.0) * (rng.random() < 0.25)),
        brown_edge=float(rng.exponential(0.06) * (rng.random() < 0.2)),
    )


_A_TENTH = 0.10
"""Of the tumour cells: above it a staining counts."""
_A_FEW = 0.02
"""Intense complete staining in fewer cells than this is passed over."""
_EYE, _EYE_OF_SHARE = 0.01, 0.1
"""Standard deviation of a share estimated by eye: fixed, and in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MembranePattern:
    """Shares of tumour cells by the staining of their membrane; what remains is unstained.

    The bounds between the scores are those of ASCO/CAP 2018 (affirmed 2023).
    """

    intense_complete: float
    moderate_complete: float
    faint_incomplete: float


def guideline_score(pattern: MembranePattern) -> Score:
    """What ASCO/CAP 2018 (affirmed 2023) calls a pattern."""
    if pattern.intense_complete > _A_TENTH:
        return Score.THREE
    complete = pattern.intense_complete + pattern.moderate_complete
    if complete > _A_TENTH or pattern.intense_complete > _A_FEW:
        return Score.TWO
    return Score.ONE if complete + pattern.faint_incomplete > _A_TENTH else Score.ZERO


def random_pattern(score: Score, rng: np.random.Generator) -> MembranePattern:
    """A pattern that the guideline scores as `score`; some lie close to the next score."""
    if score is Score.ZERO:
        faint = rng.uniform(0.0, 0.10) * (rng.random() < 0.6)
        return _pattern(0.0, 0.0, faint)
    if score is Score.ONE:
        moderate = rng.uniform(0.0, 0.09) * (rng.random() < 0.5)
        return _pattern(0.0, moderate, rng.uniform(0.11, 0.9))
    if score is Score.TWO:
        if rng.random() < 0.12:  # intense and complete, but in no more than a tenth of the cells
            return _pattern(rng.uniform(0.03, 0.1), rng.uniform(0.0, 0.1), rng.uniform(0.2, 0.8))
        moderate = rng.uniform(0.11, 0.85)
        return _pattern(rng.uniform(0.0, 0.06), moderate, (1 - moderate) * rng.uniform(0.2, 0.9))
    intense = 0.11 + 0.89 * rng.beta(2.4, 1.0)
    moderate = (1 - intense) * rng.uniform(0.3, 0.9)
    return _pattern(intense, moderate, (1 - intense - moderate) * rng.uniform(0.2, 1.0))


def read_by_eye(pattern: MembranePattern, rng: np.random.Generator) -> Score:
    """The score that a reader gives, who estimates each share of cells and is a little off.

    Far from the bounds between scores it is the guideline's; near them readers differ, as they do
    in 24 to 35 % of real cases (much of that is intensity, which cores differ in here).
    """

    def estimated(share: float) -> float:
        return max(share + rng.normal(0.0, _EYE + _EYE_OF_SHARE * share), 0.0) if share else 0.0

    return guideline_score(
        MembranePattern(
            intense_complete=estimated(pattern.intense_complete),
            moderate_complete=estimated(pattern.moderate_complete),
            faint_incomplete=estimated(pattern.faint_incomplete),
        )
    )


def _pattern(intense: float, moderate: float, faint: float) -> MembranePattern:
    return MembranePattern(
        intense_complete=float(intense),
        moderate_complete=float(moderate),
        faint_incomplete=float(min(faint, 1.0 - intense - moderate)),
    )
