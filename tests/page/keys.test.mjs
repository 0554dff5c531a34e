// API keys: a server that needs one asks for it, and the browser keeps it for the session alone.

import assert from "node:assert/strict";
import { pageTest } from "./browser.mjs";

const { PADDOCK_GUARDED_URL: guarded, PADDOCK_KEY: key } = process.env;

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
