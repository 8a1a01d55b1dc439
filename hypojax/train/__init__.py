"""Training: generator and augmentation in JAX, loss, jitted step, resumable loop."""
