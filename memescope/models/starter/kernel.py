"""How like some training memes a meme is, text and picture together: words mean another thing on another picture.

A Gaussian kernel over the text vector beside the leading principal components of the picture vector, against stored
landmarks: exp(-gamma * |x - landmark|^2). A linear layer on these is a kernel machine with few support vectors
(Williams and Seeger, "Using the Nyström Method to Speed Up Kernel Machines", NIPS 2000).

Shape letters: b memes, d joint width, m landmarks, r picture components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def joint(
    text: NDArray[np.floating],
    picture: NDArray[np.floating],
    centre: NDArray[np.floating],
    basis: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Text (b, 384) of length 1 beside scaled picture components, `basis` (1280, r) of the centred vector: (b, d)."""
    return np.concatenate([text.astype(np.float32), (picture - centre).astype(np.float32) @ basis], axis=1)


def similarities(points: NDArray[np.float32], landmarks: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """Kernel values (b, m) of points (b, d) with landmarks (m, d)."""
    found = points @ landmarks.T
    found *= 2
    found -= np.einsum("bd,bd->b", points, points)[:, None]
    found -= np.einsum("md,md->m", landmarks, landmarks)[None, :]
    np.minimum(found, 0, out=found)
    found *= np.float32(gamma)
    return np.exp(found, out=found)
