"""What strokes do, and what they cost."""
