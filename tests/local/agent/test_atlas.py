"""The texture's layout, texel by texel."""

import numpy as np
import pytest

from local.agent import head
from local.agent.atlas import Atlas

UV = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.9, 0.9]])


def test_values_are_interpolated_over_a_triangle() -> None:
    atlas = Atlas(100, UV, np.array([[0, 1, 2]]))
    spread = atlas.spread(np.array([0.0, 1.0, 10.0, -1.0]))
    for x, y in ((10, 10), (50, 20), (20, 70)):
        assert spread[y, x] == pytest.approx((x + 0.5) / 100 + 10 * (y + 0.5) / 100, abs=1e-4)


def test_texels_outside_of_all_triangles_show_the_last_vertex() -> None:
    spread = Atlas(100, UV, np.array([[0, 1, 2]])).spread(np.array([0.0, 1.0, 10.0, -1.0]))
    assert spread[99, 99] == -1
    assert spread[70, 70] == -1


def test_a_triangle_without_area_in_the_texture_does_no_harm() -> None:
    spread = Atlas(50, UV, np.array([[0, 1, 2], [0, 0, 3]])).spread(np.arange(4.0))
    assert np.isfinite(spread).all()


def test_the_head_s_own_coordinates_come_out_where_they_are() -> None:
    topology, size = head.topology(), 256
    atlas = Atlas(size, topology.uv, topology.triangles)
    shown = atlas.spread(np.ones(len(topology.uv)))
    assert np.allclose(shown, 1, atol=1e-4)
    centres = (np.arange(size) + 0.5) / size
    u, v = atlas.spread(topology.uv[:, 0]), atlas.spread(topology.uv[:, 1])
    middle = slice(20, -20)
    distance = np.hypot(u - centres[None, :], v - centres[:, None])[middle, middle]
    assert distance.mean() < 0.1 / size
    assert distance.max() < 3 / size, "where triangles are thinner than a texel"
