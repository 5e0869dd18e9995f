"""References of the bundled definitions, one file each; the JSON of a definition holds the same text (see ../embed.py)."""
