"""Equations between programs: each rule with its title, condition and class, and their driver."""
