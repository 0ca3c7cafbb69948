"""The model: questions it may ask, its budget, its cost."""
