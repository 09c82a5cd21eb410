"""Gives the code of a revision: its files on this machine, or the thing in memory."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.code_folders import CodeFolders
from hayserve.deployments.deployment import Origin
from hayserve.deployments.revision import YAML_FILE, Content, Revision
from hayserve.deployments.revisions import Revisions
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused


class Source:
    """Where code runs from: the server's own folders, never the user's, except for objects.

    Args:
        revisions: Where the files of bundles are kept.
        folders: Where they are put so that they can run.
        things: What the program that made the server gave it, by name.
        lean_openai: Whether the `OpenAIChatGenerator`s of all deployments are made lean.
    """

    def __init__(
        self,
        revisions: Revisions,
        folders: CodeFolders,
        things: Mapping[str, Target],
        *,
        lean_openai: bool = False,
    ) -> None:
        self._lean_openai = lean_openai
        self._revisions = revisions
        self._folders = folders
        self._things = things

    def target(self, revision: Revision, aliases: tuple[str, ...] = ()) -> Target:
        """What to load for a revision; its files are there when this returns.

        Raises:
            DeployRefused: This process has no such thing.
            HayserveError: Its files are lost.
            OSError: They cannot be written.
        """
        content = revision.content
        bundle = self._revisions.bundle(content.digest) if content.is_stored else None
        return self.target_of(
            revision.name, content, bundle, aliases=aliases, origin=revision.origin
        )

    def target_of(
        self,
        name: str,
        content: Content,
        bundle: Bundle | None,
        *,
        aliases: tuple[str, ...] = (),
        origin: Origin = "deployed",
    ) -> Target:
        """What to load for content that is not, or not yet, a revision."""
        path, attribute, thing = Path(), "", None
        if bundle is not None:
            path = self._folders.place(name, bundle)
            if content.kind == "yaml":
                path /= YAML_FILE
        elif content.kind == "object":
            file, _, attribute = content.place.rpartition(":")
            path = Path(file)
        else:
            thing = self._thing(name)
        return Target(
            name,
            content.kind,
            path,
            attribute=attribute,
            aliases=aliases,
            origin=origin,
            revision=content.digest,
            description=content.description,
            skip_mcp=content.skip_mcp,
            parameters=content.parameters,
            limits=content.limits,
            lean_openai=self._lean_openai,
            thing=thing,
        )

    def mark(self, name: str, content: Content) -> AbstractContextManager[object]:
        """Keep the files of `content` on the disk, when they are there, until this is left."""
        return self._folders.mark(name, content.digest) if content.is_stored else nullcontext()

    def discard(self, name: str, digest: str) -> None:
        """Take the files of a bundle away that turned out to be of no use."""
        self._folders.take_away(name, digest)

    def collect(self, keep: Collection[tuple[str, str]]) -> None:
        """Take away what no process runs, but for the names and digests in `keep`."""
        self._folders.collect(keep)

    def _thing(self, name: str) -> object:
        try:
            return self._things[name].thing
        except KeyError:
            raise DeployRefused(
                f"{name!r} is an object in memory, and this process was not given it.",
                hint="Give every process of the server the same objects, or deploy a folder.",
            ) from None
