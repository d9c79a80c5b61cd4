"""A simulation of the commit protocol: the real use cases over simulated ports, one token, no
threads. A schedule says everything, so it replays exactly. See docs/reliability-simulation.md."""
