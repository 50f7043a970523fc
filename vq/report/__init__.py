"""python -m vq.report: one page, weights/README.md, on everything that is shipped, from the weights as they are."""
