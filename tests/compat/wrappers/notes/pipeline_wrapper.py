"""Takes files in a form and over the Files API, and answers the Responses API about them."""
# pyright: basic, reportMissingImports=false

from fastapi import UploadFile
from hayhooks import BasePipelineWrapper, chat_messages_from_openai_response
from hayhooks.server.pipelines.utils import get_input_files, get_last_user_input_text

STORE: dict[str, bytes] = {}


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    def run_api(self, title: str = "", files: list[UploadFile] | None = None) -> dict:
        texts = []
        for each in files or []:
            with each.file as opened:
                texts.append(opened.read().decode())
        return {"title": title, "names": [each.filename for each in files or []], "texts": texts}

    def run_file_upload(  # noqa: PLR0917 - the contract
        self, filename: str | None, content_type: str | None, content: bytes, purpose: str
    ) -> dict:
        STORE["file-1"] = content
        return {
            "id": "file-1",
            "object": "file",
            "bytes": len(content),
            "created_at": 1,
            "filename": filename or "",
            "purpose": purpose,
        }

    def run_response(self, model: str, input_items: list[dict], body: dict) -> str:
        files = [STORE[part["file_id"]].decode() for part in get_input_files(input_items)]
        messages = chat_messages_from_openai_response(input_items)
        return f"{get_last_user_input_text(input_items)} {files} {len(messages)}"
