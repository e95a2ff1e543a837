"""The ways out: plain input and output, no database."""
