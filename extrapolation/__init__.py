"""Which positional encodings let a transformer extrapolate, and why."""
