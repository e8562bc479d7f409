"""From the bytes of a photo to an avatar: the whole way, with progress."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image

from local.agent import glb, head, photo
from local.agent.arrays import Bytes
from local.agent.colour import hexadecimal
from local.agent.fitting import fit
from local.agent.morphs import morph_targets
from local.agent.search import FaceFinder
from local.agent.texture import Painter

Progress: TypeAlias = Callable[[int, str], None]
"""Called with a percentage and the stage that begins."""

TEXTURE_SIZE = 1024
JPEG_QUALITY = 88
METRES = 0.01  # the canonical face is in centimetres, glTF in metres


@dataclass(frozen=True)
class Avatar:
    """glb: a head of human size in metres, facing +z, with five morph targets; skin_color_hex: `#rrggbb`."""

    glb: bytes
    skin_color_hex: str
    vertices: int
    triangles: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.glb).hexdigest()


class Sculptor:
    """Holds the networks and the texture's layout. Not safe for use from two threads at once."""

    def __init__(self, *, texture_size: int = TEXTURE_SIZE) -> None:
        self._finder = FaceFinder()
        self._painter = Painter(texture_size)

    def sculpt(self, data: bytes, progress: Progress = lambda percent, stage: None) -> Avatar:
        """The avatar of the person in a JPEG, PNG or WebP photo. Raises photo.UnusablePhoto, such as NoFace."""
        progress(20, "detecting")
        face = self._finder.find(photo.read(data))
        progress(40, "fitting")
        fitted = fit(face.landmarks)
        vertices = head.closed(fitted.face)
        targets = morph_targets(fitted.face)
        progress(50, "texturing")
        painting = self._painter.paint(face.image, face.landmarks, fitted, vertices)
        progress(80, "assembling")
        topology = head.topology()
        mesh = glb.Mesh(
            positions=vertices * METRES,
            normals=head.normals(vertices),
            uv=topology.uv,
            triangles=topology.triangles,
            texture=_jpeg(painting.pixels),
            morph_targets={name: moves * METRES for name, moves in targets.items()},
        )
        return Avatar(glb.write(mesh), hexadecimal(painting.skin), len(vertices), len(topology.triangles))


def _jpeg(pixels: Bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
