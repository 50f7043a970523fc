"""How good codecs and priors are: python -m vq.evaluate NAME_OR_PATH --data PATH.

The figures quoted anywhere in this project come from here.
"""
