"""Whether work grows with its input alone: measured as a ratio in one run, so that a busy machine does not matter."""

import time
from collections.abc import Callable

TIMES = 4
_QUADRATIC = TIMES**2
_NOISE_S = 0.05
"""Less than this is too little to compare."""


def growth(work: Callable[[int], object], size: int) -> float:
    """Return how many times as long ``work(TIMES * size)`` takes as ``work(size)``: the least of three tries."""
    ratios = []
    for _ in range(3):
        small, large = _took_s(work, size), _took_s(work, size * TIMES)
        if large < _NOISE_S:
            return 1.0
        ratios.append(large / max(small, _NOISE_S / TIMES))
    return min(ratios)


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """Fail where the work grows faster than its input: four times as much may take less than twelve times as long."""
    assert growth(work, size) < 0.75 * _QUADRATIC


def _took_s(work: Callable[[int], object], size: int) -> float:
    began = time.thread_time()
    work(size)
    return time.thread_time() - began
