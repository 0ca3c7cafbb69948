"""sreops: from a Grafana alert to a verified fix, or to a person with a full account."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sreops")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
