"""A layer in its equal forms and in other frameworks, measured side by side (`isoconv.race`)."""
