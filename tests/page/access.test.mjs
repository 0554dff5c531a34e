// Everybody: keyboard, screen readers, languages, dark colours, and the width of a phone.

import assert from "node:assert/strict";
import { accessibilityFaults, answerWith, ask, PHONE, pageTest } from "./browser.mjs";

const RICH =
  '# A title\n\nText with `code` and a [link](https://example.com).\n\n```python\n# a comment\nprint("x", 1)\n```\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n- [ ] task\n';

for (const colorScheme of ["light", "dark"]) {
  pageTest(
    `axe-core finds no serious fault in any view, ${colorScheme}`,
    { colorScheme },
    async (page) => {
      const faults = async (view) =>
        (await accessibilityFaults(page)).map((fault) => `${view}: ${fault}`);
      const found = [...(await faults("welcome"))];
      await ask(page, "How do I pull a model?");
      await answerWith(page, RICH);
      await ask(page, "Show me everything");
      found.push(...(await faults("chat")));
      await page.getByRole("button", { name: "Chat settings" }).click();
      found.push(...(await faults("settings")));
      await page.keyboard.press("Escape");
      await page.getByRole("link", { name: "Models" }).click();
      await page.locator(".model-row").first().waitFor();
      found.push(...(await faults("models")));
      await page.getByRole("button", { name: "Create a model" }).click();
      found.push(...(await faults("create")));
      await page.keyboard.press("Escape");
      await page.getByRole("link", { name: "paddock", exact: true }).click();
      await page.locator(".facts-grid").waitFor();
      found.push(...(await faults("model")));
      await page.getByRole("link", { name: "Now", exact: true }).click();
      await page.locator(".tile-value").first().waitFor();
      found.push(...(await faults("now")));
      assert.deepEqual(found, []);
    },
  );
}

pageTest("the chart has a name before there is anything to draw", async (page) => {
  const name = await page.evaluate(async () => {
    const { Chart } = await import(new URL("now/chart.js", document.querySelector("script").src));
    return new Chart().picture.getAttribute("aria-label");
  });
  assert.match(name, /tokens/i);
});

pageTest("everything is reached by the keyboard, and the focus follows", async (page) => {
  await page.getByRole("button", { name: "How do I pull a model?" }).waitFor();
  await page.locator("#skip").focus();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Chat");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(".model-row").first().waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
  await page.getByRole("button", { name: "Delete paddock", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0);
  assert.equal(
    await page.evaluate(() => document.activeElement.getAttribute("aria-label")),
    "Delete paddock",
  );
});

pageTest(
  "Chinese browsers get Chinese, and the choice of a language lasts",
  { locale: "zh-CN" },
  async (page) => {
    await page.getByRole("link", { name: "模型" }).click();
    await page.getByRole("heading", { name: "模型" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-Hans");
    await page.getByRole("button", { name: "English" }).click();
    await page.getByRole("heading", { name: "Models" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Models" }).waitFor();
  },
);

pageTest("dark and light can be chosen against the system", async (page) => {
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.getByRole("button", { name: "Theme: as the system" }).click();
  assert.equal(await background(), light);
  await page.getByRole("button", { name: "Theme: light" }).click();
  const dark = await background();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await background(), dark);
});

/** What reaches beyond the edge of the screen, and is in nothing that scrolls. */
function cutOff(page) {
  return page.evaluate(() => {
    const scrolls = (element) => /auto|scroll/.test(getComputedStyle(element).overflowX);
    const isInside = (element) => {
      for (
        let parent = element.parentElement;
        parent.id !== "view";
        parent = parent.parentElement
      ) {
        if (scrolls(parent) && parent.getBoundingClientRect().right <= innerWidth + 1) return true;
      }
      return false;
    };
    return [...document.querySelectorAll("#view *, #nav *")]
      .filter((element) => element.checkVisibility({ visibilityProperty: true }))
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
      .filter((element) => element.closest("#nav") || !isInside(element))
      .map((element) => element.outerHTML.slice(0, 100));
  });
}

const phone = { viewport: PHONE, hasTouch: true, isMobile: true };

pageTest("nothing is cut off on a phone", phone, async (page) => {
  await ask(page, "How do I pull a model?");
  await answerWith(page, RICH, "x".repeat(500), "\n\n```\n", "y".repeat(500));
  await ask(page, "z".repeat(300));
  assert.deepEqual(await cutOff(page), []);
  assert.equal(await page.evaluate(() => innerWidth), PHONE.width);
  assert.ok(await page.evaluate(() => document.querySelector(".log").scrollWidth <= innerWidth));
  await page.getByRole("button", { name: "Conversations" }).click();
  await page.getByRole("link", { name: "New chat" }).click();
  await page.getByRole("heading", { name: "What can I do for you?" }).waitFor();
  for (const view of ["Models", "Now"]) {
    await page.getByRole("link", { name: view }).click();
    await page.getByRole("heading", { name: view, exact: true }).waitFor();
    assert.deepEqual(await cutOff(page), []);
  }
});

pageTest("a server that is gone is told, and found again", { faults: [/ERR_/] }, async (page) => {
  await page.route("**/api/**", (route) => route.abort());
  await page.getByRole("link", { name: "Models" }).click();
  await page.getByRole("alert").getByText("Trying again").waitFor();
  await page.unroute("**/api/**");
  await page.locator(".model-row").first().waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
});
