"""A stored run as plain, typed records: what every view (terminal, report, page, notebook) is made from."""
