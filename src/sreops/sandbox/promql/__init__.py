"""PromQL: parsed and evaluated for the sandbox."""
