"""Pure rules and the words they use; no I/O, and ``now`` is an argument."""
