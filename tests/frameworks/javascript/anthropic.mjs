import Anthropic from "@anthropic-ai/sdk";
import { DESCRIPTION, MODEL, PARAMETERS, QUESTION, WEATHER, errorOf, tell, url } from "./shared.mjs";

const client = new Anthropic({ baseURL: url, apiKey: "none" });
const asked = {
  model: MODEL,
  max_tokens: 200,
  messages: QUESTION,
  thinking: { type: "disabled" },
};
const tool = { name: "get_weather", description: DESCRIPTION, input_schema: PARAMETERS };
const textOf = (message) =>
  message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

const whole = await client.messages.create(asked);
let streamed = "";
const stream = client.messages.stream(asked).on("text", (text) => {
  streamed += text;
});
await stream.finalMessage();
const tooled = await client.messages.create({ ...asked, messages: WEATHER, tools: [tool] });

tell({
  whole: textOf(whole),
  streamed,
  calls: tooled.content
    .filter((block) => block.type === "tool_use")
    .map((block) => ({ name: block.name, arguments: block.input })),
  missing: await errorOf(() => client.messages.create({ ...asked, model: "absent" })),
});
