"""Side-by-side measurements: `python -m benches` from the root of the repository."""
