"""The floor of what Haystack itself costs: an agent or a pipeline in a loop, without HTTP.

    python -m benchmarks.bare agent --tasks 32 --seconds 2

Prints the tokens per second, or the runs for whole answers, and the processor time of each in
microseconds, as JSON.
"""

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvloop
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, StreamingChunk

from benchmarks.models import PacedChatGenerator, add_tool, fast_model, tool_caller

QUESTION = "Hello"


@dataclass(slots=True)
class Counter:
    """Counts the runs, and the tokens that a model said."""

    runs: int = 0
    tokens: int = 0

    def callback(self) -> Callable[[StreamingChunk], None]:
        """A function, as a pipeline copies everything else that it is given."""

        def count(chunk: StreamingChunk) -> None:
            if chunk.content:
                self.tokens += 1

        return count


Target = tuple[Agent | Pipeline, Callable[[Counter], dict[str, Any]]]


def of_agent(counter: Counter) -> dict[str, Any]:
    return {"messages": [ChatMessage.from_user(QUESTION)], "streaming_callback": counter.callback()}


def of_answer(_: Counter) -> dict[str, Any]:
    return {"messages": [ChatMessage.from_user(QUESTION)]}


def of_pipeline(counter: Counter) -> dict[str, Any]:
    return {"data": {"llm": of_agent(counter)}}


def target(name: str) -> Target:
    """What runs, and what it takes."""
    match name:
        case "pipeline":
            pipeline = Pipeline()
            pipeline.add_component("llm", fast_model())
            return pipeline, of_pipeline
        case "tool":
            return Agent(chat_generator=tool_caller(), tools=[add_tool()]), of_agent
        case "answer":
            return Agent(chat_generator=fast_model()), of_answer
        case "paced":
            return Agent(chat_generator=PacedChatGenerator()), of_agent
        case _:
            return Agent(chat_generator=fast_model()), of_agent


async def run_async(it: Target, *, tasks: int, seconds: float, counter: Counter) -> None:
    """So many runs at once, again and again until the time is over; once each for no time."""
    runner, arguments = it
    deadline = time.perf_counter() + seconds

    async def again() -> None:
        while True:
            await runner.run_async(**arguments(counter))
            counter.runs += 1
            await asyncio.sleep(0)
            if time.perf_counter() >= deadline:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(again())


def run(it: Target, *, seconds: float, counter: Counter) -> None:
    """One run after the other until the time is over."""
    runner, arguments = it
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        runner.run(**arguments(counter))
        counter.runs += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=("agent", "answer", "pipeline", "tool", "paced"))
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--sync", action="store_true")
    given = parser.parse_args()
    logging.getLogger("haystack").setLevel(logging.ERROR)  # it warns in every run, at a cost
    it, counter = target(given.target), Counter()
    for warm_up in (True, False):
        counter.runs = counter.tokens = 0
        seconds = min(0.2, given.seconds) if warm_up else given.seconds
        wall, cpu = time.perf_counter(), time.process_time()
        if given.sync:
            run(it, seconds=seconds, counter=counter)
        else:
            tasks = 1 if warm_up else given.tasks
            uvloop.run(run_async(it, tasks=tasks, seconds=seconds, counter=counter))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = counter.tokens or counter.runs
    print(json.dumps({"rate": count / wall, "cpu": cpu / count * 1e6}))


if __name__ == "__main__":
    main()
