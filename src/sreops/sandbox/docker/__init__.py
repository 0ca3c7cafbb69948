"""A Docker Engine that speaks the API, with containers that fall ill."""
