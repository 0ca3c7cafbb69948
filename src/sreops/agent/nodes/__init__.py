"""The graph nodes, one file each around a pure rule."""
