"""Captured steps: a training step is recorded once as a CUDA graph and then repeated without running Python.

`make_steps` returns the object that runs every step of a training. `docs` for authors of methods are in
`benchmark/METHODS.md`: what a method must keep to so that its step can be captured.
"""
