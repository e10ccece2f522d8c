"""What is chosen or fitted after training, always on other people than it is scored on."""
