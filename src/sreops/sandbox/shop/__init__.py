"""The small shop whose services fall ill in the demo."""
