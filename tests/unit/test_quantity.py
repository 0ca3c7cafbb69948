"""Quantities as people write them."""

import pytest

from sreops.domain.text.quantity import quantity


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [(498e6, "bytes", "498 MB"), (512, "bytes", "512 B"), (0.123, "ratio", "12.3 %"), (0.23, "s", "230 ms"),
     (90.0, "s", "90 s"), (600.0, "s", "10 min"), (7300.0, "s", "2.0 h"), (432e3, "s", "5 days"), (0.9996, "s", "1 s"),
     (1.0105, "s", "1.01 s"), (999.9e3, "bytes", "1 MB"), (12345.6, "req/s", "12346 req/s"), (494.12, "/s", "494/s"),
     (0.00002, "cores", "0.00002 cores"), (25.0, "ratio", "2500 %"), (0.5, "cores", "0.5 cores"),
     (1, "bool", "1")],
)  # fmt: skip
def test_quantities_are_written_for_people(value, unit, told):
    assert quantity(value, unit) == told
