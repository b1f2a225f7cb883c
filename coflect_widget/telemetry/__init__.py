"""What training tells: each sample's figures, and the windows of the metrics."""
