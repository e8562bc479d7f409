"""A TensorFlow Lite network on LiteRT: one image in, its output tensors back."""

from pathlib import Path

import numpy as np

from local.agent.arrays import Floats

ASSETS = Path(__file__).parent / "assets"
THREADS = 1


class Network:
    """Not safe for use from two threads at once."""

    def __init__(self, model: str) -> None:
        # Imported late: LiteRT has no wheel for every platform, and all but the networks works without it.
        from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]  # it ships no types

        self._interpreter = Interpreter(str(ASSETS / model), num_threads=THREADS)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def run(self, image: Floats) -> list[Floats]:
        """Outputs, without the batch dimension, for one image (height, width, 3)."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [np.array(self._interpreter.get_tensor(index)[0]) for index in self._outputs]


def sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
