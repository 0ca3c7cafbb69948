"""Alerts: the webhook's payload, the event made of it, who is unwell, how badly, which topic."""
