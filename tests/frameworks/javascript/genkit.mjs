// Genkit with its plugin for Ollama, and for streams that for OpenAI's API: the former reads each
// piece that the network delivers as one line of JSON, whatever is in it.
import { openAICompatible, defineCompatOpenAIModel } from "@genkit-ai/compat-oai";
import { genkit, z } from "genkit";
import { ollama } from "genkitx-ollama";
import { DESCRIPTION, MODEL, QUESTION, WEATHER, errorOf, tell, url } from "./shared.mjs";

const ai = genkit({
  plugins: [
    ollama({
      serverAddress: url,
      models: [MODEL, "absent"].map((name) => ({ name, type: "chat", supports: { tools: true } })),
    }),
    openAICompatible({
      name: "compatible",
      apiKey: "none",
      baseURL: `${url}/v1`,
      initializer: async (client, options) => [
        defineCompatOpenAIModel({ name: `compatible/${MODEL}`, client, pluginOptions: options }),
      ],
    }),
  ],
});
const asked = { model: `ollama/${MODEL}`, config: { temperature: 0 } };
const calls = [];
const weather = ai.defineTool(
  {
    name: "get_weather",
    description: DESCRIPTION,
    inputSchema: z.object({ city: z.string().describe("The city") }),
    outputSchema: z.string(),
  },
  async ({ city }) => {
    calls.push({ name: "get_weather", arguments: { city } });
    return `It is sunny in ${city}.`;
  },
);

const whole = await ai.generate({ ...asked, prompt: QUESTION[0].content });
const { stream } = ai.generateStream({
  ...asked,
  model: `compatible/${MODEL}`,
  prompt: QUESTION[0].content,
});
let streamed = "";
for await (const piece of stream) {
  streamed += piece.text;
}
await ai.generate({ ...asked, prompt: WEATHER[0].content, tools: [weather] });

tell({
  whole: whole.text,
  streamed,
  calls,
  missing: await errorOf(() => ai.generate({ ...asked, model: "ollama/absent", prompt: "Hello" })),
});
