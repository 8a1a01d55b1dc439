"""The network: `UNetConfig`, `UNet`, and the convolution forms that are fast on each backend."""

from hypojax.unet.network import UNet, UNetConfig

__all__ = ["UNet", "UNetConfig"]
