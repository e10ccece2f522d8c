"""What a trained network says of people it was not trained on."""
