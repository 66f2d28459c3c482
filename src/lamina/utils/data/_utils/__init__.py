"""What a process does for a loader: fetch and collate samples, the worker's loop, what travels between processes."""

from lamina.utils.data._utils import collate, errors, fetch, transport, worker

__all__ = ["collate", "errors", "fetch", "transport", "worker"]
