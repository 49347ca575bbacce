"""What shows that the suite is sharp: the kill matrix, its picture, and the checks that could not fail."""
