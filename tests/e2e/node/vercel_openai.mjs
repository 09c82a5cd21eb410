// Has a conversation with tools through Vercel's AI SDK and its provider for OpenAI; prints what it
// heard as JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false; // it prints them beside what is printed here
const openai = createOpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none" });
const turns = JSON.parse(process.argv[3]);
const name = "tools_agent";
const inputSchema = jsonSchema({
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
});

async function talk(model, streamed, providerOptions) {
  const heard = { answers: [], cities: [], executed: [] };
  const execute = async ({ city }) => {
    heard.cities.push(city);
    return `sunny in ${city}`;
  };
  const tools = { get_weather: tool({ description: "Says how the weather is.", inputSchema, execute }) };
  const messages = [];
  for (const content of turns) {
    messages.push({ role: "user", content });
    const options = { model, messages, tools, providerOptions, stopWhen: stepCountIs(3), maxRetries: 0 };
    const result = streamed ? streamText(options) : await generateText(options);
    heard.answers.push(await result.text);
    const calls = (await result.steps).flatMap((step) => step.toolCalls);
    heard.executed.push(...calls.filter((call) => call.providerExecuted).map((call) => call.toolName));
    messages.push(...(await result.response).messages);
  }
  return heard;
}

const ways = {
  "chat completions": [openai.chat(name), {}],
  responses: [openai.responses(name), {}],
  stateless: [openai.responses(name), { openai: { store: false } }],
};
const result = {};
for (const [way, [model, options]] of Object.entries(ways)) {
  for (const streamed of [false, true]) {
    result[`${way}, ${streamed ? "streamed" : "plain"}`] = await talk(model, streamed, options);
  }
}
console.log(JSON.stringify(result));
