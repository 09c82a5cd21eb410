// Has a conversation with tools through OpenAI's SDK for Node; prints what it heard as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const turns = JSON.parse(process.argv[3]);
const model = "tools_agent";
const described = {
  name: "get_weather",
  description: "Says how the weather is.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

async function chat(stream) {
  const cities = [];
  const answers = [];
  const weather = ({ city }) => {
    cities.push(city);
    return `sunny in ${city}`;
  };
  const tools = [{ type: "function", function: { ...described, parse: JSON.parse, function: weather } }];
  let messages = [];
  for (const content of turns) {
    messages = [...messages, { role: "user", content }];
    const runner = client.chat.completions.runTools({ model, messages, tools, stream });
    answers.push(await runner.finalContent());
    messages = runner.messages;
  }
  return { answers, cities, executed: [] };
}

class Responses {
  constructor(way, streamed) {
    this.way = way;
    this.streamed = streamed;
    this.goesOn = way === "stateless" ? { store: false } : {};
    this.items = [];
    this.heard = { answers: [], cities: [], executed: [] };
  }

  async talk() {
    if (this.way === "conversation") {
      this.goesOn = { conversation: (await client.conversations.create()).id };
    }
    for (const content of turns) {
      let response = await this.answer([{ role: "user", content }]);
      for (let outputs = this.outputs(response); outputs.length; outputs = this.outputs(response)) {
        response = await this.answer(outputs);
      }
      this.heard.answers.push(response.output_text);
    }
    return this.heard;
  }

  outputs(response) {
    const calls = response.output.filter(({ type }) => type === "function_call");
    return calls.map(({ call_id, arguments: given }) => {
      const { city } = JSON.parse(given);
      this.heard.cities.push(city);
      return { type: "function_call_output", call_id, output: `sunny in ${city}` };
    });
  }

  async answer(items) {
    this.items.push(...items);
    const input = this.way === "stateless" ? this.items : items;
    const tools = [{ type: "function", strict: true, ...described }];
    const body = { model, input, tools, ...this.goesOn };
    const response = this.streamed
      ? await client.responses.stream(body).finalResponse()
      : await client.responses.create(body);
    this.items.push(...response.output);
    if (this.way === "previous response") this.goesOn = { previous_response_id: response.id };
    for (const item of response.output.filter(({ type }) => type === "mcp_call")) {
      this.heard.executed.push([item.server_label, item.name, item.arguments, item.output]);
    }
    return response;
  }
}

const result = {};
for (const streamed of [false, true]) {
  result[`chat completions, ${streamed ? "streamed" : "plain"}`] = await chat(streamed);
}
for (const way of ["previous response", "conversation", "stateless"]) {
  for (const streamed of [false, true]) {
    result[`${way}, ${streamed ? "streamed" : "plain"}`] = await new Responses(way, streamed).talk();
  }
}
console.log(JSON.stringify(result));
