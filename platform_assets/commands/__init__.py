"""The commands of `lakeloom`, one file each: from arguments to an outcome, printed by cli.py.

Here: what a command does and the JSON it answers with. Not here: argument parsing, printing.
"""
