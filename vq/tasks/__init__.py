"""Pictures in, pictures and figures out: what the page and the endpoints do, free of any interface. One file a tab.

A task takes `load`, which gives a codec by name, and never keeps anything between calls.
"""
