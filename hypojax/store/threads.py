"""How many threads Zarr takes to encode and decode chunks."""

import zarr


def limit_threads(count: int) -> None:
    """Let Zarr encode and decode at most ``count`` chunks at once, in this process, from now on.

    Zarr's own limits (ten at once, four threads more than cores) multiply with those of a run that reads ahead or of
    Dask. Only a program sets this, never a library function: the setting is global. It must come before the first
    array is read or written, since Zarr makes its threads once.

    Parameters
    ----------
    count
        Threads, at least one.

    Examples
    --------
    >>> limit_threads(2)
    >>> zarr.config.get("async.concurrency")
    2
    """
    zarr.config.set({"async.concurrency": count, "threading.max_workers": count})
