"""What a person waits for, and what the browser and the record take."""
