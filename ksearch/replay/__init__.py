"""Replay: a stored run's answers and verdicts, in the order in which they arrived, through the live code again.

No key, no device and no network: what models and judge said is taken from the log. Everything between is done anew by
the same code that searches, so that the replay ends in the same tree, or shows where this program does otherwise: the
first request or kernel that differs stops it.
"""
