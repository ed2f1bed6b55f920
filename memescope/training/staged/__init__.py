"""Training in stages on the transformers Trainer: what the families with a network of their own share."""
