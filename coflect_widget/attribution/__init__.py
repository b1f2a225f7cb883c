"""Where the model looks: snapshots of its weights, worker processes, maps."""
