"""Several runs in one folder of tables and figures, for a paper or a colleague."""
