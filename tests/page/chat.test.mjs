// The chat: answers, their end, and what a person can do with them.

import assert from "node:assert/strict";
import { answerWith, api, ask, pageTest } from "./browser.mjs";

pageTest("the guide answers a suggested question, and tells its speed", async (page) => {
  await page.getByRole("button", { name: "How do I pull a model?" }).click();

  const answer = page.getByRole("article", { name: "paddock" });
  await answer.locator(".stats:not(:empty)").waitFor();
  assert.match(await answer.innerText(), /pull/i);
  assert.match(await answer.locator(".stats").innerText(), /tokens\/s · \d+ \+ \d+ tokens/);
});

pageTest("a message may be sent before the models are known", async (page) => {
  let release = () => {};
  const isReleased = new Promise((resolve) => {
    release = resolve;
  });
  await page.route("**/api/tags", async (route) => {
    await isReleased;
    await route.continue();
  });
  await page.reload();
  await page.getByRole("textbox", { name: "Message" }).fill("How do I pull a model?");
  await page.keyboard.press("Enter");
  release();

  await page.locator(".message.assistant .stats:not(:empty)").waitFor();
});

pageTest("a message that cannot be sent is given back with its files", async (page) => {
  await page.route("**/api/tags", (route) => route.fulfill({ json: { models: [] } }));
  await page.reload();
  await page.getByText("There is no model here that can chat yet.").waitFor();
  const file = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("A note") };
  await page.locator("input[type=file]").setInputFiles(file);
  await page.getByText("notes.txt").waitFor();
  const message = page.getByRole("textbox", { name: "Message" });
  await message.fill("What does it say?");
  await page.keyboard.press("Enter");

  await page.waitForFunction(() => document.querySelector("textarea").value !== "");
  assert.equal(await message.inputValue(), "What does it say?");
  assert.equal(await page.getByText("notes.txt").count(), 1);
});

pageTest("a conversation is there after a reload, and until it is deleted", async (page) => {
  await ask(page, "How do I pull a model?");
  await page.reload();

  await page.getByRole("article", { name: "You" }).getByText("How do I pull a model?").waitFor();
  await page.getByRole("link", { name: "New chat" }).click();
  await page.getByRole("heading", { name: "What can I do for you?" }).waitFor();
  await page.getByRole("link", { name: /How do I pull/ }).hover();
  await page.getByRole("button", { name: "Delete How do I pull a model?" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Your conversations stay in this browser.").waitFor();
});

pageTest("an answer is stopped in the middle, and stays as far as it came", async (page) => {
  const parameters = { ignore_eos: true, num_predict: 100_000 };
  await api("POST", "/api/create", { model: "endless", from: "paddock", parameters });
  await page.reload();
  await page.getByLabel("Model", { exact: true }).selectOption("endless");
  await page.getByRole("textbox", { name: "Message" }).fill("What can you do?");
  await page.keyboard.press("Enter");
  const answer = page.getByRole("article", { name: "endless" });
  // Not the thought before it.
  const text = ".assistant .markdown:not(.thinking .markdown)";
  await page.waitForFunction(
    (selector) => document.querySelector(selector)?.innerText.trim().length > 20,
    text,
  );

  await page.getByRole("button", { name: "Stop" }).click();

  await answer.getByText("stopped").waitFor();
  assert.ok((await page.locator(text).innerText()).trim().length >= 20);
  await page.getByRole("button", { name: "Send" }).waitFor();
  await api("DELETE", "/api/delete", { model: "endless" });
});

pageTest("an answer that ends after a look elsewhere is told in the list", async (page) => {
  let release = () => {};
  const isReleased = new Promise((resolve) => {
    release = resolve;
  });
  await page.route("**/api/chat", async (route) => {
    await isReleased;
    await route.continue();
  });
  await page.getByRole("textbox", { name: "Message" }).fill("How do I pull a model?");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Now" }).click();
  await page.getByRole("heading", { name: "Loaded models" }).waitFor();
  await page.goBack();
  const state = page.locator(".conversations").getByText("Answering…");
  await state.waitFor();
  release();

  await page.locator(".message.assistant .stats:not(:empty)").waitFor();
  await state.waitFor({ state: "detached" });
});

pageTest("a message is changed, and the answer is generated again", async (page) => {
  await ask(page, "How do I pull a model?");
  await page.getByRole("article", { name: "You" }).hover();
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  await page.getByLabel("Edit the message").fill("Can I use the OpenAI library?");
  await page.keyboard.press("Enter");
  await page.locator(".message.assistant .stats:not(:empty)").waitFor();

  assert.equal(await page.getByRole("article", { name: "You" }).count(), 1);
  assert.match(await page.getByRole("article", { name: "paddock" }).innerText(), /base URL/);
  await page.getByRole("button", { name: "Answer again" }).click();
  await page.locator(".message.assistant .stats:not(:empty)").waitFor();
  assert.equal(await page.getByRole("article", { name: "paddock" }).count(), 1);
});

pageTest("an answer follows the schema of the settings", async (page) => {
  await page.getByRole("button", { name: "Chat settings" }).click();
  await page.getByLabel("Answer format").selectOption("JSON by a schema");
  const schema = page.getByRole("textbox", { name: "JSON Schema" });
  await schema.fill("{");
  await page.getByText("This is not valid JSON yet.").waitFor();
  await schema.fill(
    '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}',
  );
  await page.keyboard.press("Escape");
  await ask(page, "How do I pull a model?");

  const text = await page.locator(".assistant > .message-body > .markdown").innerText();
  assert.equal(typeof JSON.parse(text).n, "number");
});

pageTest("a tool call is shown, and its result goes back to the model", async (page) => {
  const parameters = {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
  };
  const tool = {
    type: "function",
    function: { name: "get_weather", description: "Get the weather of a city.", parameters },
  };
  await page.getByRole("button", { name: "Chat settings" }).click();
  await page.getByRole("textbox", { name: /Tools/ }).fill(JSON.stringify([tool]));
  await page.keyboard.press("Escape");
  await ask(page, "What is the weather in Paris?");

  assert.match(await page.locator(".call").innerText(), /get_weather[\s\S]*"city": "Paris"/);
  await page.getByLabel("Result of get_weather").fill("sunny");
  await page.getByRole("button", { name: "Send to the model" }).click();
  await page.locator(".message.assistant .stats:not(:empty)").nth(1).waitFor();
  assert.equal(
    await page.getByRole("article", { name: "get_weather" }).innerText(),
    "get_weather\nsunny",
  );
});

pageTest(
  "files are attached, sent and kept; a model that cannot see says so first",
  async (page) => {
    const pixel = Buffer.from(
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
      "base64",
    );
    const files = page.locator("input[type=file]");
    await files.setInputFiles([
      { name: "dot.png", mimeType: "image/png", buffer: pixel },
      { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("a ``` fence") },
    ]);
    await page.getByText("paddock cannot see images.").waitFor();
    await page.getByRole("button", { name: "Remove dot.png" }).click();
    await files.setInputFiles([{ name: "dot.png", mimeType: "image/png", buffer: pixel }]);
    await answerWith(page, "Seen.");
    const request = page.waitForRequest("**/api/chat");
    await page.getByRole("textbox", { name: "Message" }).fill("Look");
    await page.keyboard.press("Enter");

    const { messages } = (await request).postDataJSON();
    assert.deepEqual(messages, [
      {
        role: "user",
        content: "notes.txt:\n````\na ``` fence\n````\n\nLook",
        images: [pixel.toString("base64")],
      },
    ]);
    await page.locator(".message.user img").waitFor();
    await page.reload();
    await page.locator(".message.user img").waitFor();
  },
);

pageTest(
  "what the server refuses is told in its own words, and can be tried again",
  async (page) => {
    await page.route("**/api/chat", (route) =>
      route.fulfill({ status: 503, json: { error: "the server is busy" } }),
    );
    await page.getByRole("textbox", { name: "Message" }).fill("Hello");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("the server is busy").waitFor();

    await page.unroute("**/api/chat");
    await page.getByRole("button", { name: "Answer again" }).click();
    await page.locator(".message.assistant .stats:not(:empty)").waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
  },
);

pageTest("a conversation that is deleted while its model answers stays deleted", async (page) => {
  let end;
  const ended = new Promise((resolve) => {
    end = resolve;
  });
  await page.route("**/api/chat", async (route) => {
    await ended;
    await route.abort().catch(() => {});
  });
  await page.getByRole("textbox", { name: "Message" }).fill("Hello");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Delete Hello" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Your conversations stay in this browser.").waitFor();
  end();

  await page.reload();
  await page.getByText("Your conversations stay in this browser.").waitFor();
});

pageTest("a browser without room says so, and the conversation goes on", async (page) => {
  await page.evaluate(() => {
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  await ask(page, "How do I pull a model?");
  await page.getByText("The browser has no room for this conversation.").waitFor();
  await page.getByRole("link", { name: "Models" }).click();
  await page.getByRole("link", { name: "Chat", exact: true }).click();
  await page.getByRole("link", { name: /How do I pull/ }).click();

  await page.getByRole("article", { name: "paddock" }).waitFor();
  await ask(page, "How do I use my GPU?");
  assert.equal(await page.getByText("The browser has no room").count(), 1);
});

pageTest("a refused address is told with the setting that allows it", async (page) => {
  await page.route("**/api/chat", (route) => route.fulfill({ status: 403, body: "" }));
  await page.getByRole("textbox", { name: "Message" }).fill("Hello");
  await page.keyboard.press("Enter");

  await page
    .getByRole("alert")
    .getByText(/OLLAMA_ORIGINS/)
    .waitFor();
});
