"""Networks that turn a stack of five views into probabilities of the four HER2 scores."""
