"""The microscope to build: what to buy, how to wire it, what to print."""
