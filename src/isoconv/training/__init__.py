"""What makes models learn: initial values, penalties, bounds, losses, optimizers, metrics."""
