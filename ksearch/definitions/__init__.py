"""Operators and what they are measured on.

schema: FlashInfer-Trace's types. catalog: the bundled definitions, by name, alias, prefix or file. dataset: a user's own.
kits: what is known of an operator beyond its definition (valid inputs, regimes, hidden cases). generate: inputs from a
seed. regimes and selection: which workloads stand for the full set. hidden: workloads drawn after a candidate is fixed.
references/: the operators in plain torch, embedded into data/definitions by embed.
"""
