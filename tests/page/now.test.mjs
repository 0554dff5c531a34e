// What the server is doing: requests with their phase, loaded models, and how to end both.

import assert from "node:assert/strict";
import { api, pageTest, url } from "./browser.mjs";

pageTest("a request is seen and cancelled, and its model unloaded", async (page) => {
  const parameters = { ignore_eos: true, num_predict: 100_000, num_ctx: 16_384 };
  await api("POST", "/api/create", { model: "busy", from: "paddock", parameters });
  const answer = fetch(`${url}/api/generate`, {
    method: "POST",
    body: JSON.stringify({ model: "busy", prompt: "What can you do?", keep_alive: -1 }),
  });
  await page.getByRole("link", { name: "Now", exact: true }).click();
  const row = page.locator(".request-row", { hasText: "busy" });
  await row.getByText(/tokens generated/).waitFor();
  await row.getByText("answering").waitFor();
  // It may be listed by the name of another model of the same weights, whose runner it shares.
  const model = page.locator(".model-row");
  await model.getByText("stays loaded").waitFor();
  await page.waitForFunction(() => Number(document.querySelector(".tile-value").textContent) > 0);

  await row.getByRole("button", { name: /Cancel request/ }).click();
  await page.getByText("The request is cancelled.").waitFor();
  assert.match((await (await answer).text()).trim().split("\n").at(-1), /error/);
  await row.waitFor({ state: "detached" });
  await model.getByRole("button", { name: /^Unload/ }).click();
  await page.getByText("No model is loaded.").waitFor();
  await api("DELETE", "/api/delete", { model: "busy" });
});

pageTest("a key that must not look says so, and is not asked for again and again", async (page) => {
  let asked = 0;
  await page.route("**/api/ps", (route) => {
    asked += 1;
    return route.fulfill({ status: 401, json: { error: "this server needs an API key" } });
  });
  await page.getByRole("link", { name: "Now", exact: true }).click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("alert").getByText("this server needs an API key").waitFor();
  const before = asked;
  await page.waitForResponse("**/api/ps");
  assert.ok(asked > before);
  assert.equal(await page.getByRole("dialog").count(), 0);
});
