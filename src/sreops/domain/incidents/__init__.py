"""Incidents: episodes of a service being unwell, which alert belongs to which, storms."""
