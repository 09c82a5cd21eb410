"""The phrases."""

from haystack import component


@component
class Greeter:
    """Says hello."""

    @component.output_types(greeting=str)
    def run(self, name: str, times: int) -> dict[str, str]:
        return {"greeting": " ".join([f"Hello, {name}!"] * times)}
