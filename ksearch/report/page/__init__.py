"""The page: what `ksearch report` writes into one file and `ksearch ui` serves. Contract: docs/report.md."""
