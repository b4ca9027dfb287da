"""The outside world: one folder for each layer of the stack, one file for each system."""
