"""Which mappings of the compiler a server may drop."""

from __future__ import annotations

from athanor.kernel.release import _clean_mappings

SMAPS = """\
1000-2000 r--p 00000000 fe:00 1 /lib/libllvmlite.so
Rss: 4 kB
Anonymous: 0 kB
2000-4000 r-xp 00001000 fe:00 1 /lib/libllvmlite.so
Anonymous: 0 kB
4000-5000 r--p 00003000 fe:00 1 /lib/libllvmlite.so
Anonymous: 8 kB
5000-6000 rw-p 00004000 fe:00 1 /lib/libllvmlite.so
Anonymous: 0 kB
6000-7000 r-xp 00000000 fe:00 2 /lib/libc.so
Anonymous: 0 kB
7000-8000 rw-p 00000000 00:00 0
Anonymous: 0 kB
"""


def test_only_unchanged_read_only_mappings_of_the_compiler_are_dropped():
    assert list(_clean_mappings(SMAPS)) == [(0x1000, 0x2000), (0x2000, 0x4000)]
