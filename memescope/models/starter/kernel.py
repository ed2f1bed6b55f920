"""How like some training memes a meme is, text and picture together: words mean another thing on another picture.

A Gaussian kernel over the text vector beside the leading principal components of the picture vector, against stored
landmarks: exp(-gamma * |x - landmark|^2). A linear layer on these is a kernel machine with few support vectors
(Williams and Seeger, "Using the Nyström Method to Speed Up Kernel Machines", NIPS 2000).

Shape letters: b memes, d joint width, m landmarks, r picture components.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def joint(
    text: NDArray[np.floating], picture: NDArray[np.floating], tensors: Mapping[str, NDArray[Any]]
) -> NDArray[np.float32]:
    """Text (b, 384) of length 1 beside scaled picture components (b, r): (b, d)."""
    components = (picture - tensors["picture.centre"]).astype(np.float32) @ tensors["pair.basis"].astype(np.float32)
    return np.concatenate([text.astype(np.float32), components], axis=1)


def similarities(points: NDArray[np.float32], landmarks: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """Kernel values (b, m) of points (b, d) with landmarks (m, d)."""
    squares = np.einsum("bd,bd->b", points, points)[:, None] + np.einsum("md,md->m", landmarks, landmarks)[None, :]
    return np.exp(-gamma * np.maximum(squares - 2 * points @ landmarks.T, 0))
