"""A Prometheus that speaks the API, with rules."""
