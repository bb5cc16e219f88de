"""Captured steps: a training step is recorded once as a CUDA graph and then repeated without running Python.

`steps.make_steps` returns the object that runs every step of a training, so the loop does not know which steps are
captured. The docstring of `kdbench.api` says what a method must keep to so that its step can be captured.
"""
