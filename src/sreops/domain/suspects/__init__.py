"""Suspects: which service's series and lines changed first and most."""
