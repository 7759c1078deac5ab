"""A view parses, makes one call and renders."""
