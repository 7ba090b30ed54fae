"""Formulas: read from text or traced from a function."""
