"""The only files here that touch the world: Channel Access and ZeroMQ."""
