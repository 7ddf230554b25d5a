"""Equations between graphs, and how equality is decided; no cost, no machine."""
