"""Change events of databases as rows: one module for each kind of envelope."""
