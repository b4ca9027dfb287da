"""The asset graph: one folder for each artefact, from raw objects to the published index."""
