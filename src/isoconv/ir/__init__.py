"""What a program is: sizes, geometry, operations, graphs, their checks and their text."""
