"""Causes: signs in logs, state and events, and what is concluded from them."""
