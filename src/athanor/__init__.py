"""Athanor: highly available Prometheus with a global view and unlimited retention, over arrays."""

__version__ = "0.1.0"
