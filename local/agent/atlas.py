"""The texture's layout: which triangle of the head each texel shows, and where in it. The same for every photo."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from local.agent.arrays import Floats, Integers


class Atlas:
    """size is in texels a side. Texels outside of all triangles show the last vertex."""

    def __init__(self, size: int, uv: Floats, triangles: Integers) -> None:
        shown = _rasterised(size, uv, triangles)
        nowhere = shown < 0
        self._corners = triangles.astype(np.int32)[shown]
        self._corners[nowhere] = len(uv) - 1
        self._second, self._third = _barycentric(size, uv[triangles], shown)

    def spread(self, values: Floats) -> Floats:
        """(size, size): values (n,) of the vertices, interpolated over the texels."""
        first, second, third = np.moveaxis(values.astype(np.float32)[self._corners], -1, 0)
        spread: Floats = first + (second - first) * self._second + (third - first) * self._third
        return spread


def _rasterised(size: int, uv: Floats, triangles: Integers) -> npt.NDArray[np.int32]:
    """(size, size): the triangle each texel lies in, -1 for none."""
    canvas = Image.new("I", (size, size), -1)
    draw = ImageDraw.Draw(canvas)
    for number, corners in enumerate(uv[triangles] * size - 0.5):
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=number)
    return np.asarray(canvas, np.int32)


def _barycentric(size: int, corners: Floats, shown: npt.NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Two of (size, size): the shares of its triangle's second and third corner in each texel's centre."""
    sides = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=-1)
    sides[np.abs(np.linalg.det(sides)) < 1e-12] = np.eye(2)
    to_shares, origins = np.linalg.inv(sides).astype(np.float32), corners[:, 0].astype(np.float32)
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    from_origin = np.stack(np.meshgrid(centres, centres), axis=-1) - origins[shown]
    second, third = np.moveaxis(np.einsum("yxij,yxj->yxi", to_shares[shown], from_origin), -1, 0)
    return second.clip(0, 1), third.clip(0, 1)  # edges are drawn a little wide
