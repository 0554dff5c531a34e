"""What the models are trained on: written for this project, and varied by fixed seeds."""
