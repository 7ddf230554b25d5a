"""Models and weights of other frameworks, read and written: one module for each of them."""
