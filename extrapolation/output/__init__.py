"""What a person reads: `files`, `table`, `figure`, `plot`, `html`, `progress`.

`logs` and `exit_codes` are how a command speaks and ends. Modules are imported
one by one: most commands need no figure.
"""
