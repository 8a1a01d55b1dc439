# hypojax as a BIDS-App. Made by `hypojax deploy`: change the configuration instead of this file.
#
#     docker build --file FOLDER/image/Dockerfile --tag hypojax:0.1.0 .      in a checkout; FOLDER is this file's
#     docker build --file FOLDER/image/bids.Dockerfile --tag hypojax-bids:0.1.0 .
#     docker run --rm --user "$(id -u):$(id -g)" --network none --volume /data/bids:/bids:ro --volume /data/out:/out \
#         hypojax-bids:0.1.0 /bids /out participant --participant-label 01
#
# It needs no network. It may run as any user: results belong to that one.
FROM hypojax:0.1.0
ENV HOME=/tmp XDG_CACHE_HOME=/tmp/hypojax-cache MPLCONFIGDIR=/tmp/hypojax-cache/matplotlib
WORKDIR /tmp
ENTRYPOINT ["start", "hypojax", "bids"]
CMD ["--help"]
