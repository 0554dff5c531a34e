// API keys: a server that needs one asks for it, and the browser keeps it for the session alone.

import assert from "node:assert/strict";
import { accessibilityFaults, pageTest } from "./browser.mjs";

const { PADDOCK_GUARDED_URL: guarded, PADDOCK_KEY: key, PADDOCK_ADMIN_KEY: admin } = process.env;

pageTest(
  "the page asks for a key, keeps it for the session, and forgets it",
  { url: guarded, hash: "#/models" },
  async (page) => {
    const dialog = page.getByRole("dialog", { name: "This server needs an API key" });
    const field = dialog.getByLabel("API key");
    await field.fill("pdk_wrong");
    await field.press("Enter");
    await dialog.getByText("The server does not accept this key.").waitFor();
    await field.fill(key);
    await field.press("Enter");
    await page.locator(".model-row").first().waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem("paddock.key")), key);
    assert.equal(
      await page.evaluate((text) => JSON.stringify(localStorage).includes(text), key),
      false,
    );

    await page.reload();
    await page.locator(".model-row").first().waitFor();
    await page.getByRole("button", { name: "Forget the API key" }).click();
    await dialog.waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  },
);

pageTest(
  "what the key does not allow is told, and nothing is asked again",
  { url: guarded, hash: "#/models" },
  async (page) => {
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("API key").fill(key);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Delete paddock", exact: true }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();

    await page.getByText(/lacks the scope/).waitFor();
    await page.getByRole("link", { name: "paddock", exact: true }).waitFor();
  },
);

pageTest(
  "who may manage sees the usage, makes a key, and revokes it",
  { url: guarded, hash: "#/chat" },
  async (page) => {
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("API key").fill(admin);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "How do I pull a model?" }).click();
    await page.locator(".message.assistant .stats:not(:empty)").waitFor();
    await page.getByRole("link", { name: "Now", exact: true }).click();
    const usage = page.getByRole("region", { name: "Usage" });
    await usage.getByRole("row", { name: /^admin paddock \d/ }).waitFor();
    assert.deepEqual(await accessibilityFaults(page), []);

    await page.getByRole("button", { name: "New key" }).click();
    await dialog.getByLabel("Who or what it is for").fill("bob");
    await dialog.getByLabel("Requests per minute").fill("60");
    await dialog.getByRole("button", { name: "Create" }).click();
    const token = await page
      .getByRole("dialog", { name: "The key of bob" })
      .locator("code")
      .innerText();
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${guarded}/api/tags`, { headers })).status, 200);
    await dialog.getByRole("button", { name: "Close" }).last().click();

    await page.locator("li", { hasText: "bob" }).getByText("Requests per minute: 60").waitFor();
    await page.getByRole("button", { name: "Revoke the key of bob" }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await page.locator("li", { hasText: "bob" }).waitFor({ state: "detached" });
    assert.equal((await fetch(`${guarded}/api/tags`, { headers })).status, 401);
  },
);
