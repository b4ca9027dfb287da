"""Encoders: recipes, their checkpoints in the lake, and the champion in the registry."""
