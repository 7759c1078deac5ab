"""HTTP: a view parses, makes one call and renders."""
