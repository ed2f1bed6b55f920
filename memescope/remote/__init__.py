"""A model behind an OpenAI-compatible server, used like one on this machine: `load("openai:http://127.0.0.1:8000/v1")`."""

from memescope.remote.model import RemoteModel, open_remote

__all__ = ["RemoteModel", "open_remote"]
