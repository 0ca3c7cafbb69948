"""Adapters: one file or folder per real thing; built by app alone."""
