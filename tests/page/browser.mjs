// A Chromium for the tests of the page, which notices every fault that a person would not see.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, test } from "node:test";
import { chromium } from "playwright-core";

export const url = process.env.PADDOCK_URL;
export const GUIDE = "paddock:latest";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  // Chromium's sandbox refuses to work for root.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
after(() => browser.close());

/**
 * Run a test on a page of its own, in a profile of its own. It fails on errors of scripts, on
 * violations of the Content-Security-Policy and on requests to other hosts.
 */
export function pageTest(name, options, body) {
  const [settings, run] = body ? [options, body] : [{}, options];
  const { hash = "", url: server = url, faults: expected = [], ...context } = settings;
  test(name, { timeout: 60_000 }, async () => {
    const profile = await browser.newContext({ viewport: DESKTOP, locale: "en", ...context });
    profile.setDefaultTimeout(20_000);
    const page = await profile.newPage();
    const faults = [];
    page.on("pageerror", (error) => faults.push(String(error.stack)));
    page.on("console", (message) => {
      const text = message.text();
      const isKnown =
        expected.some((pattern) => pattern.test(text)) ||
        /the server responded with a status of [45]/.test(text);
      if (message.type() === "error" && !isKnown) faults.push(text);
    });
    page.on("request", (request) => {
      const address = new URL(request.url());
      if (/^https?:$/.test(address.protocol) && address.origin !== server)
        faults.push(`requested ${address}`);
    });
    try {
      await page.goto(`${server}/ui${hash}`);
      await run(page);
      assert.deepEqual(faults, []);
    } finally {
      await profile.close();
    }
  });
}

/** Ask the model of a chat, and wait until its answer has ended. */
export async function ask(page, text) {
  const answers = page.locator(".message.assistant .stats:not(:empty)");
  const before = await answers.count();
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.keyboard.press("Enter");
  await answers.nth(before).waitFor();
}

/** Let the server answer a chat with these texts, a line each. */
export async function answerWith(page, ...parts) {
  const line = (content, fields) =>
    JSON.stringify({
      model: GUIDE,
      message: { role: "assistant", content },
      done: false,
      ...fields,
    });
  const lines = [
    ...parts.map((part) => line(part)),
    line("", { done: true, done_reason: "stop", eval_count: 1 }),
  ];
  await page.route("**/api/chat", (route) =>
    route.fulfill({ contentType: "application/x-ndjson", body: `${lines.join("\n")}\n` }),
  );
}

/** Return the serious faults that axe-core finds, a line each. */
export async function accessibilityFaults(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    );
}

/** Send a request of the API from the test itself. */
export async function api(method, path, body) {
  const response = await fetch(`${url}${path}`, { method, body: body && JSON.stringify(body) });
  assert.ok(response.ok, await response.clone().text());
  return response.text();
}
