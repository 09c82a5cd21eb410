"""Traces its work, reads a header and a setting, and refuses some requests."""
# pyright: basic, reportMissingImports=false

from fastapi import HTTPException
from hayhooks import BasePipelineWrapper
from hayhooks.server.tracing import build_trace_tags, trace_operation
from hayhooks.settings import settings
from starlette.datastructures import Headers


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    def run_api(self, word: str, headers: Headers | None = None) -> dict:
        with trace_operation("traced.check", tags=build_trace_tags({"word": word, "none": None})):
            if word == "secret":
                raise HTTPException(status_code=403, detail="Not this one.")
        asked_by = headers["X-ASKED-BY"] if headers else None
        return {"asked_by": asked_by, "show_tracebacks": settings.show_tracebacks}
