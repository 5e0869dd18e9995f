"""`ksearch inspect`: a run in the terminal, also while it goes on. Textual is imported by app.py and what it alone imports."""
