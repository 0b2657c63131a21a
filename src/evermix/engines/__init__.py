"""One outside library each; engines never import one another."""
