"""One file per peer; every contestant is a `Peer` of benches/peer.py."""
