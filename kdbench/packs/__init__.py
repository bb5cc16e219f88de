"""A results folder as one file, so that a board can be made on several machines, one after the other."""
