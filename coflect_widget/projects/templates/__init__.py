"""Projects from templates: folders beside this file, or a user's own."""
