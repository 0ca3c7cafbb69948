"""The worker: intake, correlation, dispatch, copies."""
