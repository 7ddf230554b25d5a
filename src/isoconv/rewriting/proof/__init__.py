"""How equality of two programs is decided: exactly, or at random points of two prime fields."""
