"""Alerts: what a sender's payload says, and who is unwell by it."""
