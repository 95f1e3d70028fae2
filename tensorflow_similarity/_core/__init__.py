"""Pure functions that every room may use: numerics, optional imports, files."""
