"""The wall around candidate code: what a process does to itself, once and for good, before it loads or runs any of it."""
