"""The database files and connections beneath store, checkpoints and embedded log."""
