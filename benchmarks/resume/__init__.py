"""What a run that was killed goes on from, and what that costs."""
