"""A sealed model as a detector of Frigate, a recorder for cameras, which asks it by ZeroMQ (``type: zmq``).

Source: ``frigate/detectors/plugins/zmq_ipc.py`` of Frigate 0.17 and 0.18.
"""
