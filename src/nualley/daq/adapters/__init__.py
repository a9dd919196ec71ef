"""Readers of raw formats; found through entry points, chosen by nobody else."""
