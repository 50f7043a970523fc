"""python -m vq.benchmark PART: how fast things are, beside their peers and their limits, in one and the same run.

One file a part. Each has `add_arguments(parser)` and `measure(args) -> list[Table]`, and is listed in `__main__.PARTS`.
"""
