"""Records: thoughts and actions, the audit chain, the hand-over."""
