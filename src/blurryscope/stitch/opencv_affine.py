"""The one place where (row, col) becomes the (x, y) of OpenCV."""

import numpy as np
from numpy.typing import NDArray


def opencv_affine(
    matrices: NDArray[np.float64], offsets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What `cv2.warpAffine` wants of a map p -> M p + o between (row, col) points.

    Parameters
    ----------
    matrices
        M, (..., 2, 2).
    offsets
        o, (..., 2).

    Returns
    -------
    (..., 2, 3), for points (x, y).
    """
    of_rows = np.concatenate([matrices, offsets[..., None]], axis=-1)
    return np.asarray(of_rows[..., ::-1, :][..., [1, 0, 2]])
