"""Implementations of the event log: Kafka, embedded, and the spool in front of them."""
