"""Providers: plain input and output towards the outside, without Django."""
