"""How a plan is run: in which processes, in which order, and how far it is."""
