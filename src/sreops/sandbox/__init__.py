"""A small world on loopback for the demo and the tests: servers that speak the real protocols, strictly."""
