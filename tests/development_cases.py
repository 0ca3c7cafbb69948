"""The recorded incidents for development: beside the checkout where they are, never part of the project."""

from pathlib import Path

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
ABSENT = "the development cases are not beside this checkout (../shared/cases)"
