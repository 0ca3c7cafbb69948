"""Runbooks: the file, matching, templates, plans."""
