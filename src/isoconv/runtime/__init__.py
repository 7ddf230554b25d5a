"""How a compiled program is loaded, kept and run: linking, the folder of objects, threads."""
