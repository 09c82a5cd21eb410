"""The names that a deployment cannot have because the server uses them itself."""

# One of these would never, or not always, be asked. `chat`, `files` and `responses` are not among
# them: nothing else is served at /chat/run.
RESERVED = frozenset(
    {
        "a2a",
        "console",
        "deploy-yaml",
        "deploy_files",
        "deployments",
        "docs",
        "healthz",
        "keys",
        "mcp",
        "metrics",
        "models",
        "openapi.json",
        "readyz",
        "redoc",
        "runs",
        "status",
        "undeploy",
        "usage",
        "v1",
    }
)
