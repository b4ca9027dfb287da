"""Contrastive training of a text encoder with torch, in as many processes as there are.

Here: the encoder (encoder.py), its batches (batches.py), the losses (losses.py), the gradients of
a step (gradients.py), the loop (loop.py). Only a worker imports these: torch is imported at the
top. Not here: how processes are started, Dagster, recipes, promotion.
"""
