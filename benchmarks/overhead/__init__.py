"""What a training pays."""
