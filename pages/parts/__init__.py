"""What pages share. The first of it is that memory is kept little, before anything comes that has threads."""

from pages.parts import memory

memory.keep_little()
