"""Carrying out a plan: permission, targets, effects, checks, measuring."""
