"""Remediation: policy, effects and their settling, verification."""
