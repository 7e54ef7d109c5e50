"""Sample codecs: the data of one chunk <-> arrays, many chunks in one call."""
