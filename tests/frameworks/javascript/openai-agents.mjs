// OpenAI's Agents SDK over the Responses API: an agent that calls a tool by itself and answers.
import {
  Agent,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
  tool,
} from "@openai/agents";
import OpenAI from "openai";
import { DESCRIPTION, MODEL, PARAMETERS, QUESTION, WEATHER, errorOf, tell, url } from "./shared.mjs";

setTracingDisabled(true);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const calls = [];
const weather = tool({
  name: "get_weather",
  description: DESCRIPTION,
  parameters: { ...PARAMETERS, additionalProperties: false },
  execute: async ({ city }) => {
    calls.push({ name: "get_weather", arguments: { city } });
    return `It is sunny in ${city}.`;
  },
});
const agent = (name, tools) =>
  new Agent({
    name: "guide",
    model: new OpenAIResponsesModel(client, name),
    modelSettings: { temperature: 0, maxTokens: 200 },
    tools,
  });

const whole = await run(agent(MODEL, []), QUESTION[0].content);
const stream = await run(agent(MODEL, []), QUESTION[0].content, { stream: true });
let streamed = "";
for await (const piece of stream.toTextStream()) {
  streamed += piece;
}
await stream.completed;
await run(agent(MODEL, [weather]), WEATHER[0].content);

tell({
  whole: whole.finalOutput,
  streamed,
  calls,
  missing: await errorOf(() => run(agent("absent", []), "Hello")),
});
