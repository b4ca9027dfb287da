"""What applications use: search of the published indexes.

Here: interfaces that applications call. One file for each of them.
Not here: how an index is built, measured or published (platform_assets).
"""
