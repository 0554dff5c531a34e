// Installed models: pulled with progress, created, copied and deleted.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { api, pageTest, url } from "./browser.mjs";

const MODELS = { hash: "#/models" };

pageTest(
  "a pull shows its progress, pauses, goes on, and the model is there",
  MODELS,
  async (page) => {
    const name = page.getByRole("textbox", { name: "Name of the model" });
    await name.fill("ollama pull teller");
    await name.press("Enter");
    const bar = page.getByRole("progressbar", { name: "Pull of teller" });
    await page.waitForFunction(() => document.querySelector(".pull > progress")?.value > 0.02);
    await page.getByText(/MB of .* MB · .*\/s/).waitFor();

    await page.getByRole("button", { name: "Pause the pull of teller" }).click();
    await page.getByText(/paused/).waitFor();
    assert.ok((await bar.evaluate((element) => element.value)) < 1);
    await page.getByRole("link", { name: "Chat", exact: true }).click();
    await page.getByRole("link", { name: "Models" }).click();
    await page.getByRole("button", { name: "Go on with the pull of teller" }).click();

    await page.getByText("Installed", { exact: true }).waitFor();
    await page.getByRole("link", { name: "teller" }).waitFor();
    await page.getByRole("button", { name: "Remove teller from the pulls" }).click();
    assert.equal(await bar.count(), 0);
  },
);

pageTest("a model is deleted after a question, and not without", MODELS, async (page) => {
  await api("POST", "/api/copy", { source: "paddock", destination: "spare" });
  await page.reload();
  const remove = page.getByRole("button", { name: "Delete spare" });
  await remove.click();
  await page
    .getByRole("dialog", { name: "Delete spare?" })
    .getByRole("button", { name: "Cancel" })
    .click();
  await page.getByRole("link", { name: "spare" }).waitFor();
  await remove.click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();

  await page.getByText("spare is deleted.").waitFor();
  assert.equal(await page.getByRole("link", { name: "spare" }).count(), 0);
});

pageTest("a model that the registry does not have is told in a sentence", MODELS, async (page) => {
  await page.getByRole("textbox", { name: "Name of the model" }).fill("absent");
  await page.keyboard.press("Enter");

  await page.locator(".pull.failed").getByText(/./).first().waitFor();
  await page.getByRole("button", { name: "Go on with the pull of absent" }).waitFor();
  await page.getByRole("progressbar").waitFor({ state: "hidden" });
});

pageTest(
  "a model is created from a Modelfile; a mistake in it names its line",
  MODELS,
  async (page) => {
    await page.getByRole("button", { name: "Create a model" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name of the model").fill("terse");
    await dialog.getByRole("textbox", { name: "Modelfile" }).fill("FROM paddock\nPARAMETR x 1\n");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    await dialog
      .getByRole("alert")
      .getByText(/line 2/)
      .waitFor();
    await dialog
      .getByRole("textbox", { name: "Modelfile" })
      .fill("FROM paddock\nSYSTEM Be terse.\n");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();

    await page.getByRole("link", { name: "terse" }).click();
    await page.getByRole("heading", { name: "terse" }).waitFor();
    await page.getByText("Be terse.").first().waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("terse is deleted.").waitFor();
  },
);

pageTest("a GGUF file of this computer becomes a model", MODELS, async (page) => {
  await page.getByRole("button", { name: "Create a model" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("GGUF files").first().click();
  await dialog.locator("input[type=file]").setInputFiles(process.env.GGUF);
  await dialog.getByRole("button", { name: "Create", exact: true }).click();

  await page.getByRole("link", { name: "guide" }).waitFor();
  await api("DELETE", "/api/delete", { model: "guide" });
});

const BROKEN = { ...MODELS, faults: [/ERR_CONNECTION_RESET/] };

pageTest("an upload that broke off goes on within the file", BROKEN, async (page) => {
  const content = Buffer.concat([readFileSync(process.env.GGUF), Buffer.alloc(64)]);
  const half = content.length >> 1;
  const digest = createHash("sha256").update(content).digest("hex");
  await fetch(`${url}/api/blobs/sha256:${digest}`, {
    method: "PATCH",
    headers: { "upload-offset": "0" },
    body: content.subarray(0, half),
  });
  const offsets = [];
  await page.route("**/api/blobs/*", (route) => {
    if (route.request().method() !== "PATCH") return route.continue();
    offsets.push(Number(route.request().headers()["upload-offset"]));
    return offsets.length === 1 ? route.abort("connectionreset") : route.continue();
  });

  await page.getByRole("button", { name: "Create a model" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("GGUF files").first().click();
  const file = { name: "halved.gguf", mimeType: "application/octet-stream", buffer: content };
  await dialog.locator("input[type=file]").setInputFiles(file);
  await dialog.getByRole("button", { name: "Create", exact: true }).click();

  await page.getByRole("link", { name: "halved" }).waitFor();
  assert.deepEqual(offsets, [half, half]);
  await api("DELETE", "/api/delete", { model: "halved" });
});

pageTest("SHA-256 is computed as the server does, whatever the pieces", MODELS, async (page) => {
  const digests = await page.evaluate(async () => {
    const { Sha256 } = await import(new URL("api/sha256.js", document.querySelector("script").src));
    const results = [];
    for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_000]) {
      const data = crypto.getRandomValues(new Uint8Array(Math.min(length, 65_536)));
      const hash = new Sha256();
      for (let at = 0; at < data.length; at += 17 + (length % 90))
        hash.update(data.subarray(at, at + 17 + (length % 90)));
      const expected = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
      results.push([
        hash.digest(),
        [...expected].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
      ]);
    }
    return results;
  });

  for (const [digest, expected] of digests) assert.equal(digest, expected);
});
