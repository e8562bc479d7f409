"""A soft transition."""

import numpy as np

from local.agent.arrays import Floats


def smoothstep(share: Floats) -> Floats:
    """0 to 1 with level ends; clamped outside of them."""
    share = np.clip(share, 0, 1)
    eased: Floats = share * share * (3 - 2 * share)
    return eased
