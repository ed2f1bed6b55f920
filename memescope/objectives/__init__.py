"""What a training stage minimises, apart from the models: labels, generation, distillation."""
