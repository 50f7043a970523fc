"""Training: `python -m vq.train NAME --data PATH --out RUN`."""
