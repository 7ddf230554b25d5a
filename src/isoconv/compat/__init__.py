"""Other libraries' ways of writing, for programs written for them."""
