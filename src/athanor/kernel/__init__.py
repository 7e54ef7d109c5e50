"""How kernels are compiled and cached, and the kernels that know no format: checksums, hashes, varints, text."""
