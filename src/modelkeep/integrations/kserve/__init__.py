"""KServe: a runtime for sealed models, and a storage initializer that verifies them and holds no key.

Source: the Python package ``kserve`` 0.21; KServe's V1 and V2 (open inference) protocols.
"""
