"""What a session sets for its whole process, and how things end with it."""
