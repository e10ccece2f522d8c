"""Where the course of a training is written for TensorBoard or Weights & Biases."""
