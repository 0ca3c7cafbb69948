"""Questions that the model may ask while it analyses."""
