"""How well the forecast foretells, and what it takes."""
