"""Views over layers and models: shapes, parameters, arithmetic, receptive fields, activations."""
