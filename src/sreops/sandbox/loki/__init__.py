"""A Loki that speaks the API, with LogQL."""
