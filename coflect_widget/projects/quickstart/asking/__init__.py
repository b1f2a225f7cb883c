"""Questions put to a person: on the terminal, or by selectors in a notebook."""
