"""What every training with torch has in common: it fits in the memory there is, and can be killed.

Here: processes and devices (processes.py), running out of memory (memory.py), steps and saved
states (run.py). Only a worker imports these: torch is imported at the top.
Not here: models, batches and losses (contrastive/, causal/), how processes are started.
"""
