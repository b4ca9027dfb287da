"""What others would use for the same job, each run by the Python of its own environment."""
