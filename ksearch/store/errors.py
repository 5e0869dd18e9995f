"""What can go wrong with a stored run. Each message names the file and the way out."""

from __future__ import annotations

from ksearch.errors import BadInput


class StoreError(BadInput):
    """Base of everything the store raises for its caller to show; never raised for a bug."""


class RunsDirError(StoreError):
    """The runs folder can't hold a run: not writable, or on a file system without working locks or shared memory."""


class RunExists(StoreError):
    """A run of that name is already there."""


class RunLocked(StoreError):
    """Another writer has the run open."""


class UnknownRun(StoreError):
    """No run of that name, or more than one."""


class NotARun(StoreError):
    """The file is missing, empty, damaged, or something other than a run's log."""


class NewerSchema(StoreError):
    """The log was written by a newer program."""


class BadEvent(StoreError):
    """An event that can't be stored: payload that is no JSON, text that is no Unicode."""


class SecretRefused(StoreError):
    """A payload or blob holds the value of an API key from the environment."""


class BlobError(StoreError):
    """A blob that isn't there, or whose bytes no longer match their digest."""


class BadExport(StoreError):
    """A JSON-lines file that is not a whole, valid export; the message names the line."""


class BadRunName(StoreError):
    """A name that can't be a run's: it must be one plain folder name."""
