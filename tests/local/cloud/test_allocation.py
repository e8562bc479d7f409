"""What large bodies took is given back."""

import subprocess
import sys

import pytest

# Something small that lasts comes after each, as records and logs do.
BODIES = """
import psutil
from local.cloud.allocation import give_large_back
give_large_back()
before = psutil.Process().memory_info().rss
first = b"x" * 30_000_000
del first
bodies, kept = [], []
for _ in range(200):
    bodies.append(b"x" * 1_000_000)
    kept.append(bytes(1000))
bodies.clear()
print((psutil.Process().memory_info().rss - before) // 1_000_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' allocators do so by themselves")
def test_a_process_is_small_again_after_large_bodies() -> None:
    done = subprocess.run([sys.executable, "-c", BODIES], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20
