"""Photos: what may be uploaded and why it is refused. What decodes them is in `pixels`, which takes Pillow."""

import uuid

from avatars import owners
from avatars.owners import Owner
from avatars.refusals import Refusal

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 8192
MIN_SIDE = 64
CONTENT_TYPE = "image/jpeg"


class NotAnImage(Refusal):
    """Neither JPEG, PNG nor WebP by its content, or broken, or moving."""

    status = 415
    code = "NOT_AN_IMAGE"
    title = "Only image files are accepted"


class BodyTooLarge(Refusal):
    status = 413
    code = "BODY_TOO_LARGE"
    title = f"The photo may have at most {MAX_BYTES // 1024 // 1024} MB"


class ImageTooLarge(Refusal):
    """The photo has more pixels than are decoded, however small its file is; `detail` says how many may be in one of
    its kind. Scale it down, or make a baseline JPEG of it, and send it again."""

    status = 413
    code = "IMAGE_TOO_LARGE"
    title = f"The photo may have at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side"


class ImageTooSmall(Refusal):
    """The photo has too few pixels for a face to be found in it. Take a larger one."""

    status = 422
    code = "IMAGE_TOO_SMALL"
    title = f"The photo must have at least {MIN_SIDE} pixels a side"


def object_key(owner: Owner) -> str:
    """A fresh key for a photo of this owner; nothing in it comes from the client."""
    return f"{owners.folder(owner)}/{uuid.uuid4()}.jpg"
