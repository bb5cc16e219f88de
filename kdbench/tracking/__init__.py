"""Records mirrored into MLflow, and its server."""
