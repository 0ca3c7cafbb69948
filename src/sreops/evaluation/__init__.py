"""Recorded incidents: read, asked, scored, exported; only commands import it."""
