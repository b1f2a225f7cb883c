"""What is lost when processes die."""
