"""Checks of a method file: short trainings on small images that show whether it keeps the contract in practice."""
