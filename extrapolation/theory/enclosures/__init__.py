"""Rigorous numbers: balls, Taylor models, sums with their tails."""
