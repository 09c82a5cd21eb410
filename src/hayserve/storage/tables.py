"""The tables: what should be served, what was served before, and who serves."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# The bytes of a file, once, whatever number of bundles it is in.
contents = Table(
    "contents",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

# The files of a deployment: paths and the hashes of their contents.
bundles = Table(
    "bundles",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("files", JSON, nullable=False),
    Column("size", Integer, nullable=False),
)

# What was ever accepted under a name; a row never changes.
revisions = Table(
    "revisions",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(10), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("place", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("limits", JSON, nullable=False),
    Column("description", Text, nullable=False),
    Column("skip_mcp", Boolean, nullable=False),
    Column("origin", String(20), nullable=False),
    Column("deployed_by", Text, nullable=False),
    Column("deployed_from", Text, nullable=False),
    Column("deployed_at", Float, nullable=False),
)

# What should be served: the active revision of each name, null after an undeploy.
deployments = Table(
    "deployments",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("revision", Integer),
    Column("aliases", JSON, nullable=False),
    Column("keep", Boolean, nullable=False),
    Column("position", Integer, nullable=False),
)

# Every name and alias that is taken: two deployments cannot have one, wherever they are made.
names = Table(
    "names",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("deployment", String(200), ForeignKey("deployments.name"), nullable=False, index=True),
)

# What was or is being changed, and how far it has come. While it is open, `open_name` keeps
# a second change of the same deployment out.
changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, index=True),
    Column("open_name", String(200)),
    Column("action", String(20), nullable=False),
    Column("revision", Integer),
    Column("aliases", JSON, nullable=False),
    Column("keep", Boolean, nullable=False),
    Column("stage", String(20), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("coordinator", String(64), nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_from", Text, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("ended_at", Float),
    UniqueConstraint("open_name"),
    sqlite_autoincrement=True,
)

# How far each worker has come with a change that is open.
answers = Table(
    "answers",
    metadata,
    Column(
        "change",
        Integer,
        ForeignKey("changes.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("worker", String(64), primary_key=True),
    Column("stage", String(20), nullable=False),
    Column("error", JSON),
)

# The processes that serve. `beat` counts up while one lives.
workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("run", String(64), nullable=False),
    Column("failed", JSON, nullable=False),
)

# What each node was started with, as it was when it was last looked at: in which run of the server,
# and why it could not be served. The row without a name says of which run all has been looked at.
declarations = Table(
    "declarations",
    metadata,
    Column("node", String(200), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("origin", String(20), nullable=False),
    Column("run", String(64), nullable=False),
    Column("error", JSON),
)

# What one worker asks all others about their runs; it is here until they have replied.
questions = Table(
    "questions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("asker", String(64), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("subject", JSON, nullable=False),
    sqlite_autoincrement=True,
)

# What they reply.
replies = Table(
    "replies",
    metadata,
    Column(
        "question",
        Integer,
        ForeignKey("questions.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("worker", String(64), primary_key=True),
    Column("body", JSON, nullable=False),
)

# The requests that came with an Idempotency-Key, named by a hash of the key and the caller: which
# worker runs them as which run, and what was answered. Without a status the run has not ended;
# without a body its answer was too large to be kept.
kept_answers = Table(
    "kept_answers",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("worker", String(64), nullable=False),
    Column("run", String(64), nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("status", Integer),
    Column("headers", JSON),
    Column("body", LargeBinary),
)

# The responses that clients may ask for again: what was asked, which worker runs it as which run,
# and the response object as it was last written. `owner` stands for the key that asked.
responses = Table(
    "responses",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("run", String(64), nullable=False),
    Column("worker", String(64), nullable=False),
    Column("previous", String(64)),
    Column("conversation", String(64)),
    Column("input", JSON, nullable=False),
    Column("body", JSON, nullable=False),
    Column("has_ended", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

# The events of those whose stream can be picked up again, several in a row: `number` is the
# `sequence_number` of the first.
response_frames = Table(
    "response_frames",
    metadata,
    Column(
        "response", String(64), ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("next", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# The turns of agents that wait for what their clients' tools give, by the run that they were.
pauses = Table(
    "pauses",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("deployment", String(200), nullable=False),
    Column("data", JSON, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

# Conversations: `turn` is the response that is being made in one, which keeps others out.
conversations = Table(
    "conversations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("turn", String(64)),
    Column("worker", String(64)),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

conversation_items = Table(
    "conversation_items",
    metadata,
    Column(
        "conversation",
        String(64),
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False),
    Column("data", JSON, nullable=False),
    UniqueConstraint("conversation", "id"),
)

# Files that clients uploaded, and their contents in pieces. One that is not whole is being
# uploaded, or its upload was given up.
files = Table(
    "files",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("is_whole", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

file_pieces = Table(
    "file_pieces",
    metadata,
    Column("file", String(64), ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# The keys that callers show, of which only hashes are kept. `version` grows with each change of any
# key, so that a worker sees by one number whether there is something new.
keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False, index=True),
    Column("digest", String(64), nullable=False),
    Column("old_digest", String(64), nullable=False),
    Column("old_until", Float, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("budget", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("last_used_at", Float),
    Column("version", Integer, nullable=False, index=True),
)

# What each worker has of a budget in a window of time: what it has used, and what it holds to use.
# All rows of a budget together are what is taken of it.
shares = Table(
    "shares",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("window", Integer, primary_key=True, autoincrement=False),
    Column("worker", String(64), primary_key=True),
    Column("used", Float, nullable=False),
    Column("spare", Float, nullable=False),
)

# What the runs of a day used, by whose they were and what they ran.
usage = Table(
    "usage",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("owner", String(64), primary_key=True),
    Column("deployment", String(200), primary_key=True),
    Column("caller", Text, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
)
