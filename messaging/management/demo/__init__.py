"""The demonstration: a sandbox, the service, and a client that sends real messages."""
