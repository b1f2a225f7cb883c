"""Whether maps show what they should, and what they cost."""
