// Screenshots for the documents, of a server with sample data.

import { join } from "node:path";
import { PHONE, pageTest } from "./browser.mjs";
import { ANSWER, QUESTION, showSample, THOUGHT } from "./sample.mjs";

const FOLDER = process.env.SCREENSHOTS;

async function shoot(page, name) {
  // The focus ring, and a notice, would tell of the test and not of the page.
  await page.evaluate(() => document.activeElement?.blur());
  await page.screenshot({ path: join(FOLDER, `${name}.png`), animations: "disabled" });
}

async function answerSample(page) {
  const part = (content, thinking, fields) => ({
    model: "qwen3:8b",
    message: { role: "assistant", content, thinking },
    done: false,
    ...fields,
  });
  const end = {
    done: true,
    done_reason: "stop",
    eval_count: 341,
    eval_duration: 5.1e9,
    prompt_eval_count: 27,
  };
  const lines = [part("", THOUGHT), part(ANSWER), part("", "", end)];
  await page.route("**/api/chat", (route) =>
    route.fulfill({
      contentType: "application/x-ndjson",
      body: lines.map((line) => JSON.stringify(line)).join("\n"),
    }),
  );
  await page.getByRole("combobox").first().selectOption("qwen3:8b");
  await page.getByRole("textbox").last().fill(QUESTION);
  await page.keyboard.press("Enter");
  await page.locator(".message.assistant .stats:not(:empty)").waitFor();
}

async function open(page, view) {
  await showSample(page);
  await page.evaluate((hash) => {
    location.hash = hash;
  }, view);
  await page.reload();
}

pageTest("chat", async (page) => {
  await open(page, "#/chat");
  await answerSample(page);
  await page.locator(".log").evaluate((log) => log.scrollTo(0, 0));
  await shoot(page, "chat");
});

pageTest("chat in the dark", { colorScheme: "dark" }, async (page) => {
  await open(page, "#/chat");
  await answerSample(page);
  await page.locator(".log").evaluate((log) => log.scrollTo(0, 0));
  await shoot(page, "chat-dark");
});

pageTest("models", async (page) => {
  await open(page, "#/models");
  await page.getByRole("textbox", { name: "Name of the model" }).fill("llama3.2");
  await page.keyboard.press("Enter");
  await page.getByText(/left/).waitFor();
  await shoot(page, "models");
  await page.getByRole("button", { name: "Cancel the pull of llama3.2" }).click();
});

pageTest("now", { viewport: { width: 1280, height: 1040 } }, async (page) => {
  await page.clock.install();
  await open(page, "#/now");
  for (let i = 0; i < 150; i += 1) {
    await Promise.all([page.waitForResponse("**/metrics"), page.clock.runFor(2000)]);
  }
  await shoot(page, "now");
});

pageTest(
  "phone",
  { viewport: PHONE, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  async (page) => {
    await open(page, "#/chat");
    await answerSample(page);
    await page.locator(".log").evaluate((log) => log.scrollTo(0, 0));
    await shoot(page, "phone");
  },
);

pageTest("Chinese", { locale: "zh-CN" }, async (page) => {
  await open(page, "#/models");
  await page.locator(".model-row").first().waitFor();
  await shoot(page, "chinese");
});
