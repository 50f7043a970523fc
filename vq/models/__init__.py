"""Networks and nothing else: no files, no printing, no optimizers."""
