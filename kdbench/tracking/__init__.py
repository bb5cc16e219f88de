"""Mirrors records into MLflow, and runs its server."""
