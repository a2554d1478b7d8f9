"""Forces on the vertices of a body."""
