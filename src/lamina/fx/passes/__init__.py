"""Passes over graphs. Here: shapes of all values on the way (shape_prop)."""
