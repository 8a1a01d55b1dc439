"""Container images whose entry is `hypojax bids`: one small layer on the image of hypojax, for Docker and for Apptainer."""

from collections.abc import Mapping
from typing import Final

from hypojax.execute.deploy.cluster_config import ClusterConfig
from hypojax.execute.deploy.scripts import CACHE_LINES, MADE_BY

CACHE: Final = "/tmp/hypojax-cache"  # noqa: S108 - the only folder of a container that every user may write; no other user is in it
"""Where compiled networks lie in a container that may run as anybody, and so has no home."""

DOCKERFILE: Final = """# hypojax as a BIDS-App. {made_by}
#
#     docker build --file FOLDER/image/Dockerfile --tag {name} .      in a checkout; FOLDER is this file's
#     docker build --file FOLDER/image/bids.Dockerfile --tag {bids} .
#     docker run --rm --user "$(id -u):$(id -g)" --network none --volume /data/bids:/bids:ro --volume /data/out:/out \\
#         {bids} /bids /out participant --participant-label 01
#
# It needs no network. It may run as any user: results belong to that one.
FROM {name}
ENV HOME=/tmp XDG_CACHE_HOME={cache} MPLCONFIGDIR={cache}/matplotlib
WORKDIR /tmp
ENTRYPOINT ["start", "hypojax", "bids"]
CMD ["--help"]
"""

APPTAINER: Final = """# hypojax as a BIDS-App. {made_by}
#
#     apptainer build hypojax.sif FOLDER/image/apptainer.def          in a checkout; FOLDER is this file's
#     apptainer build hypojax-bids.sif FOLDER/image/bids.def
#     apptainer run --cleanenv hypojax-bids.sif bids/ out/ participant --participant-label 01
#
# It needs no network. It runs as whoever starts it; --nv lets it use a GPU.
Bootstrap: localimage
From: hypojax.sif

%runscript
    {lines}
    exec hypojax bids "$@"

%test
    /opt/hypojax/bin/hypojax bids --help
"""


def bids_images(config: ClusterConfig) -> Mapping[str, str]:
    """Path of each file → its text.

    Examples
    --------
    >>> sorted(bids_images(ClusterConfig(inputs=("bids",), out="out")))
    ['image/bids.Dockerfile', 'image/bids.def']
    """
    name, _, version = config.image.name.rpartition(":")
    bids = f"{name}-bids:{version}" if name else f"{version}-bids"
    return {
        "image/bids.Dockerfile": DOCKERFILE.format(made_by=MADE_BY, name=config.image.name, bids=bids, cache=CACHE),
        "image/bids.def": APPTAINER.format(made_by=MADE_BY, lines="\n    ".join(CACHE_LINES)),
    }
