"""Base images: what templates boot. The one of the template `base` is built on the host from Debian's packages, once,
and cached. Others are built of more packages, or imported, for templates that this host has registered.

It is made of three files. `disk` is an ext4 file system of 5 GiB of which about 250 MB are there. `kernel` is Debian's
cloud kernel, unpacked from its package and never installed. `initrd` loads the modules, mounts, and brings the guest
program along: a disk holds none of it, so a machine that boots an old disk runs the program that fits its host.

On the kernel's command line the guest needs nothing. The drive must be the first virtio-blk device (`/dev/vda`), and
the port be named as in `agent/guest/wire.py`; output of the kernel and of the guest program goes to the console.
"""

from agent.images.build import BaseImage, base_image
from agent.images.registry import UnknownTemplate
from agent.images.resolver import Resolver
from agent.images.tools import BuildError, missing_tools

__all__ = ["BaseImage", "BuildError", "Resolver", "UnknownTemplate", "base_image", "missing_tools"]
