"""Maintenance of what the other assets leave behind: pins, expiry, orphans, compaction."""
