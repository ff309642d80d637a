from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.tma.lattice import (
    Growth,
    Lattice,
    LatticeVectors,
    fit_lattice,
    grow,
    grown_patches,
)

Floats = NDArray[np.float64]


def array_of_spots(
    rows: int, columns: int, tilt_deg: float, bend_px: float = 0.0, seed: int = 0
) -> tuple[NDArray[np.int64], Floats]:
    """Nodes (column, row) and jittered spots (x, y) with a pitch of 40 for cores of 25."""
    nodes = np.array([(c, r) for r in range(rows) for c in range(columns)], np.int64)
    angle = np.deg2rad(tilt_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = nodes * 40.0 @ turn + np.random.default_rng(seed).uniform(-2.5, 2.5, nodes.shape)
    xy[:, 1] += bend_px * np.sin(np.pi * nodes[:, 0] / max(columns - 1, 1))
    return nodes, xy


def agrees(lattice: Lattice, nodes: NDArray[np.int64]) -> bool:
    """All spots have their node, up to one shift of the whole."""
    if len(lattice.growth.spots) != len(nodes):
        return False
    return len(np.unique(lattice.growth.nodes - nodes[lattice.growth.spots], axis=0)) == 1


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(2, 9),
    columns=st.integers(2, 12),
    tilt_deg=st.floats(-15, 15),
    seed=st.integers(0, 1000),
)
def test_any_tilted_array_with_lost_cores_is_counted_right(
    rows: int, columns: int, tilt_deg: float, seed: int
) -> None:
    nodes, xy = array_of_spots(rows, columns, tilt_deg, seed=seed)
    kept = np.random.default_rng(seed).permutation(len(nodes))[: int(np.ceil(0.8 * len(nodes)))]
    if len(kept) < 6:
        kept = np.arange(len(nodes))
    assert agrees(fit_lattice(xy[kept], np.full(len(kept), 0.5), 25.0), nodes[kept])


@pytest.mark.parametrize(("rows", "columns"), [(1, 8), (7, 1), (2, 2), (1, 1), (16, 16), (16, 17)])
def test_rows_columns_and_counts_around_256_are_no_exception(rows: int, columns: int) -> None:
    nodes, xy = array_of_spots(rows, columns, 3.0)
    assert agrees(fit_lattice(xy, np.full(len(xy), 0.5), 25.0), nodes)


def test_a_bent_array_keeps_its_count() -> None:
    nodes, xy = array_of_spots(8, 20, 0.0, bend_px=35.0)
    lattice = fit_lattice(xy, np.full(len(xy), 0.5), 25.0)
    assert agrees(lattice, nodes)
    away = np.hypot(*(lattice.nodes(lattice.growth.nodes) - xy[lattice.growth.spots]).T)
    assert away.max() < 0.25 * 40


def test_debris_between_the_cores_gets_no_node() -> None:
    _, xy = array_of_spots(6, 6, -7.0)
    debris = xy[[0, 8, 20]] + [18.0, 19.0]
    lattice = fit_lattice(np.concatenate([xy, debris]), np.r_[np.full(36, 0.5), [0.4] * 3], 25.0)
    assert set(lattice.growth.spots) == set(range(36))


def test_pixels_lead_back_to_their_node() -> None:
    _, xy = array_of_spots(8, 9, 9.0, bend_px=12.0)
    node_map = fit_lattice(xy, np.full(len(xy), 0.5), 25.0).nodes
    inner = np.array([[1.3, 2.2], [-1.0, 0.4], [0.0, 0.0]])
    assert np.allclose(node_map.inverse(node_map(inner)), inner, atol=1e-3)


def test_tilt_is_told_with_its_sign() -> None:
    _, xy = array_of_spots(6, 9, 11.0)
    assert fit_lattice(xy, np.full(len(xy), 0.5), 25.0).tilt_deg == pytest.approx(11.0, abs=0.5)


def test_hundreds_of_pieces_of_debris_do_not_keep_it_growing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = np.linspace(0.0, 2 * np.pi, 800, endpoint=False)
    rim = 600.0 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    vectors = LatticeVectors(along_row=np.array([40.0, 0.0]), down_column=np.array([0.0, 40.0]))
    tries = []

    def counted(*given: Any) -> Growth:
        tries.append(given)
        return grow(*given)

    monkeypatch.setattr("blurryscope.tma.lattice.grow", counted)
    assert grown_patches(rim, np.full(len(rim), 0.5), vectors)
    assert len(tries) < 24
