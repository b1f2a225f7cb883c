"""What it costs a training to be steered from elsewhere."""
