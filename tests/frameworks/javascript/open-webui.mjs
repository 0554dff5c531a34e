// Open WebUI in Chromium: pick a model, chat, stop an answer, ask about an uploaded file.
// Arguments: the URLs of paddock and of Open WebUI.
import { chromium } from "playwright-core";
import { QUESTION, tell, url as paddock } from "./shared.mjs";

const webui = process.argv[3];
const SECONDS = 1000;
const NOTES = `Minutes of the meeting.

The password of the day is heron.

The next meeting is in May.
`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  // Chromium's sandbox refuses to work for root.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
try {
  const profile = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: "en",
  });
  profile.setDefaultTimeout(60 * SECONDS);
  const page = await profile.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error.stack)));
  page.on("request", (request) => {
    const address = new URL(request.url());
    const isOutside = address.hostname !== "127.0.0.1" && /^(http|ws)s?:$/.test(address.protocol);
    if (isOutside) faults.push(`requested ${address}`);
  });
  const news = page.getByRole("button", { name: "Okay, Let's Go!" });
  await page.addLocatorHandler(news, () => news.click());
  await page.goto(webui);
  await page.getByRole("button", { name: /^Selected model/ }).waitFor();
  await page.evaluate(leaveOutTools, ["paddock:latest", "endless:latest"]);

  const found = {};
  found.models = await modelsOnOffer();
  await chooseModel("paddock");
  await send(QUESTION[0].content);
  found.answer = await answer();

  await chooseModel("endless");
  await send("What can you do?");
  await until(async () => (await text()).length > 200);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  found.stopped = await answer();
  found.isIdle = await until(async () => (await runningRequests()) === 0);

  await chooseModel("agent");
  await page.locator("input[type=file]").first().setInputFiles({
    name: "notes.txt",
    mimeType: "text/plain",
    buffer: Buffer.from(NOTES),
  });
  await page.getByRole("button", { name: /^notes\.txt .*\d/ }).waitFor();
  await send("What is the password?");
  found.quotation = await answer();
  tell({ ...found, faults });

  /** Open a new chat with a model, chosen in the list. */
  async function chooseModel(name) {
    await page.goto(webui);
    await page.getByRole("button", { name: /^Selected model/ }).click();
    await page.getByRole("combobox", { name: "Search In Models" }).fill(name);
    await page.getByRole("option", { name: `Select ${name}:latest model`, exact: true }).click();
    await page.getByRole("button", { name: `Selected model: ${name}:latest` }).waitFor();
  }

  async function modelsOnOffer() {
    await page.getByRole("button", { name: /^Selected model/ }).click();
    const options = page.getByRole("option", { name: /^Select .* model$/ });
    await options.first().waitFor();
    const names = await options.evaluateAll((all) => all.map((each) => each.ariaLabel));
    await page.keyboard.press("Escape");
    return names.map((name) => name.split(" ")[1]);
  }

  async function send(message) {
    await page.locator("#chat-input").fill(message);
    await page.getByRole("button", { name: "Send message" }).click();
  }

  /** What stands in the list of messages below the model's name. */
  function text() {
    return page.getByRole("log").getByRole("listitem").nth(1).innerText();
  }

  /** The text of the answer when it has ended. */
  async function answer() {
    await page.getByRole("button", { name: "Regenerate" }).waitFor();
    return text();
  }
} finally {
  await browser.close();
}

/** Run in the page: let Open WebUI send its own tools, 7000 tokens of them, to other models alone. */
async function leaveOutTools(models) {
  for (const id of models) {
    const response = await fetch("/api/v1/models/create", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Authorization: `Bearer ${localStorage.token}`,
      },
      body: JSON.stringify({ id, name: id, meta: {}, params: { function_calling: "legacy" } }),
    });
    if (!response.ok) throw new Error(await response.text());
  }
}

async function runningRequests() {
  const response = await fetch(`${paddock}/api/queue`);
  return (await response.json()).requests.length;
}

/** Wait for a condition; return whether it came true within a minute. */
async function until(condition) {
  const deadline = Date.now() + 60 * SECONDS;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return true;
}
