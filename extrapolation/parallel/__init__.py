"""Devices, processes, and how they start and end together."""
