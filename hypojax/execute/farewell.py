"""`Farewell`: when the client of a run is gone, however it went, its workers are freed and know nothing of the run."""

from contextlib import suppress

from distributed import Scheduler, SchedulerPlugin


class Farewell(SchedulerPlugin):
    """Takes the plugin of a run from all workers when its client is gone: one that is killed cannot clean up behind itself.

    Parameters
    ----------
    worker_plugin
        Name of the plugin of the run.
    client
        Which client, by its `distributed.Client.id`.
    """

    def __init__(self, worker_plugin: str, client: str) -> None:
        self.name = f"{worker_plugin}-farewell"
        self._worker_plugin = worker_plugin
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Take away both plugins of the run when it is its client that leaves (as Dask calls it)."""
        if client == self._client:
            scheduler.loop.add_callback(self._take_away, scheduler)

    async def _take_away(self, scheduler: Scheduler) -> None:
        """Take them away, unless the client has done so itself."""
        with suppress(ValueError):
            scheduler.remove_plugin(self.name)
        with suppress(ValueError):
            await scheduler.unregister_worker_plugin(comm=None, name=self._worker_plugin)
