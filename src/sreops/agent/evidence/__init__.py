"""Gathering evidence about an incident, source by source."""
