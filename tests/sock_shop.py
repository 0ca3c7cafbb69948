"""A simulated Sock Shop in the shape of RCD's recordings (Ikram et al., NeurIPS 2022), for want of the recordings.

What is theirs: the services, which of them report requests, the names of the series (``carts_cpu``, ``carts_lat_90``),
one sample a second of rates over 45 s that change with every scrape of some 5 s, memory in whole pages that hardly
moves, sizes from 0.07 to 70 % of a core, five minutes before and five since, and a load that differs between the two.
What is made up: how strong the faults are and how far they spread.
"""

import math
import random
from typing import Any

SERVICES = (
    "carts", "carts-db", "catalogue", "catalogue-db", "front-end", "orders", "orders-db", "payment", "queue-master",
    "rabbitmq", "shipping", "user", "user-db",
)  # fmt: skip
FAULTY = ("carts", "catalogue", "orders", "payment", "user")
_CPU = dict(zip(SERVICES, (2.0, 60.0, 1.5, 0.15, 15.0, 0.9, 0.5, 0.08, 0.3, 0.6, 0.3, 1.7, 1.2), strict=True))
_MIB = dict(zip(SERVICES, (325, 180, 10, 411, 105, 313, 150, 7, 255, 90, 291, 14, 240), strict=True))
_REPORTING = {"carts": (8.0, 0.3), "catalogue": (18.0, 0.03), "shipping": (0.8, 0.003), "front-end": (25.0, 0.05)}
_CALLERS = {"carts": ("front-end",), "catalogue": ("front-end",), "orders": ("front-end",), "user": ("front-end",)}
_NORMAL_S, _SCRAPE_S, _PAGE = 300, 5, 4096
START = 1_652_812_000.0


def _sampled(rng: random.Random, values: list[float], noise: float) -> list[float]:
    """Return what a rate over 45 s shows of ``values``: averaged, held between scrapes, with bursts."""
    rough = [value * rng.lognormvariate(0, noise) * (2.5 if rng.random() < 0.01 else 1.0) for value in values]
    shown: list[float] = []
    offset = rng.randrange(_SCRAPE_S)
    for second in range(len(rough)):
        if second and (second + offset) % _SCRAPE_S:
            shown.append(shown[-1])
        else:
            window = rough[max(0, second - 45) : second + 1]
            shown.append(sum(window) / len(window))
    return shown


def _memory(rng: random.Random, mib: float, grown: list[float]) -> list[float]:
    """Return memory that steps by some pages now and then, plus what leaked."""
    level, shown = mib * 2**20, []
    for more in grown:
        if rng.random() < 0.03:
            level += rng.choice((-1, 1, 1)) * _PAGE * rng.randrange(1, 1 + int(mib / 4) + 1)
        shown.append(float(int((level + more * 2**20) / _PAGE) * _PAGE))
    return shown


def recording(culprit: str, fault: str, seed: int) -> dict[str, Any]:
    """Return one case, ten minutes with a fault (``cpu`` or ``mem``) in the middle."""
    rng = random.Random(f"{culprit} {fault} {seed}")
    seconds, shift = 2 * _NORMAL_S, rng.uniform(0.85, 1.15)
    since = [0.0] * _NORMAL_S + [1.0] * _NORMAL_S
    slowed = rng.uniform(1.2, 4.0)
    series: dict[str, list[float]] = {}
    for service in SERVICES:
        drift = rng.uniform(0.85, 1.2)
        cpu = [_CPU[service] * (1 + (shift * drift - 1) * on) for on in since]
        leak = [0.0] * seconds
        if service == culprit:
            hog = rng.uniform(8.0, 100.0) if fault == "cpu" else rng.uniform(0.0, 6.0)
            cpu = [value + hog * on for value, on in zip(cpu, since, strict=True)]
            if fault == "mem":
                most = _MIB[service] * rng.uniform(0.3, 2.0)
                leak = [most * min(1.0, max(0, second - _NORMAL_S) / 120) for second in range(seconds)]
        series[f"{service}_cpu"] = _sampled(rng, cpu, 0.35)
        series[f"{service}_mem"] = _memory(rng, _MIB[service], leak)
    for service, (rate, latency) in _REPORTING.items():
        slow = slowed if service == culprit or service in _CALLERS.get(culprit, ()) else 1.0
        series[f"{service}_lod"] = _sampled(rng, [rate * (1 + (shift / slow**0.3 - 1) * on) for on in since], 0.3)
        for quantile, factor in (("50", 1.0), ("90", 2.5), ("99", 5.0)):
            values = [latency * factor * (1 + (slow - 1) * on) for on in since]
            series[f"{service}_lat_{quantile}"] = _sampled(rng, values, 0.5)
    return {
        "id": f"{culprit}-{fault}-{seed}", "source": {}, "system": "sock-shop", "alert": None, "service": None,
        "logs": [], "candidates": list(SERVICES), "extra": {},
        "metrics": {name: [[START + n, v] for n, v in enumerate(values)] for name, values in series.items()},
        "window": {"start": START, "end": START + seconds, "fault_start": START + _NORMAL_S},
        "expected_root_cause": fault, "expected_component": [culprit], "expected_fault_type": fault,
        "expected_action_class": None, "label_origin": "simulated",
    }  # fmt: skip


def avg_at_5(ranks: list[int]) -> float:
    """Return the mean of AC@1 to AC@5."""
    return sum(max(0, 6 - rank) for rank in ranks) / (5 * len(ranks)) if ranks else math.nan
