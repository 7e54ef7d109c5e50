"""The store gateway: blocks of a bucket served on the StoreAPI."""
