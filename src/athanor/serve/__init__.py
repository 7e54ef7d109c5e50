"""Processes: command line, configuration, logging, metrics, HTTP and gRPC servers, probes."""
