"""The matrix of a least-squares problem whose weights change from round to round."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray


class NormalMatrix:
    """A^T W A for one sparse A and many diagonal W.

    Which entries it has, and which products of A add to each, is worked out once.

    Parameters
    ----------
    rows
        A, (equations, unknowns); every unknown must occur.
    """

    def __init__(self, rows: scipy.sparse.csr_array) -> None:
        self._count = int(rows.shape[1])
        entries = np.diff(rows.indptr)
        pairs = entries**2
        row = np.repeat(np.arange(len(entries)), pairs)
        place = np.arange(len(row)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
        first = rows.indptr[row] + place // entries[row]
        second = rows.indptr[row] + place % entries[row]
        keys = rows.indices[first].astype(np.int64) * self._count + rows.indices[second]
        known, self._entry = np.unique(keys, return_inverse=True)
        # Whole numbers as the solver wants them, or it converts them in every round.
        indices = (known % self._count).astype(np.int32)
        starts = np.searchsorted(known, np.arange(self._count + 1) * self._count)
        self._matrix = scipy.sparse.csc_array(
            (np.zeros(len(known)), indices, starts.astype(np.int32)), (self._count, self._count)
        )
        self._row, self._product = row, rows.data[first] * rows.data[second]

    def weighted(self, weights: NDArray[np.float64]) -> scipy.sparse.csc_array:
        """A^T W A for these weights of the equations: one matrix, filled anew each time."""
        self._matrix.data = np.bincount(
            self._entry, weights[self._row] * self._product, minlength=len(self._matrix.data)
        )
        return self._matrix

    def factors(self, weights: NDArray[np.float64]) -> scipy.sparse.linalg.SuperLU:
        """The same, factorised; singular matrices raise RuntimeError.

        It is symmetric, positive, and nearly in bands as it comes: frames hang together with their
        own lane and the next. Other orders fill it more, and pivots are not needed.
        """
        return scipy.sparse.linalg.splu(
            self.weighted(weights),
            permc_spec="NATURAL",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
