"""The matrix of runs: what is to be done, in which process, in which order."""
