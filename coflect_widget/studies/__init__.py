"""What an intervention did: causes measured, and a verdict."""
