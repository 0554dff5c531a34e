// Hostile answers: whatever a model writes, nothing runs and nothing is requested.

import assert from "node:assert/strict";
import { answerWith, ask, pageTest } from "./browser.mjs";

const ANSWER = `<img src=x onerror="window.hit = 1"> <script>window.hit = 2</script>

[a](javascript:window.hit=3) [b](JaVaScRiPt:window.hit=3) [c](java\tscript:window.hit=3)
[d](data:text/html,<script>window.hit=4</script>) [e](vbscript:x) [f](&#106;avascript:window.hit=3)
<javascript:window.hit=5> <https://example.com/" onclick="window.hit=6>
![image](https://example.com/pixel.png) ![image](javascript:window.hit=7) ![x](data:image/svg+xml;base64,PHN2Zz4=)
https://example.com/"onmouseover="window.hit=8"

<svg onload="window.hit = 9"><a xlink:href="javascript:window.hit=9"><text>x</text></a></svg>
<iframe srcdoc="<script>parent.hit = 10</script>"></iframe><style>body { display: none }</style>
<form action="https://example.com"><button>x</button></form><base href="https://example.com/">

\`\`\`html"><img src=x onerror=window.hit=11>
<img src=x onerror="window.hit = 12"></code></pre><script>window.hit = 12</script>
\`\`\`

| <img src=x onerror=window.hit=13> | [x](javascript:window.hit=14) |
| --- | --- |
| \`<svg onload=window.hit=15>\` | <b onclick=window.hit=16>x</b> |

> - [ ] <input autofocus onfocus=window.hit=17>
`;
const TAGS = new Set(
  "P H3 H4 H5 H6 HR BLOCKQUOTE DIV SPAN BUTTON SVG PATH PRE CODE UL OL LI INPUT TABLE THEAD TBODY TR TH TD A STRONG EM DEL BR".split(
    " ",
  ),
);
const ATTRIBUTES = new Set(
  "class href target rel title tabindex role aria-label aria-hidden type disabled checked start viewBox d".split(
    " ",
  ),
);

/** Every element and attribute of rendered Markdown that the page itself would not make. */
function intruders(page, text) {
  return page.evaluate(
    async ([source, tags, attributes]) => {
      const { MarkdownView } = await import(
        new URL("markdown/render.js", document.querySelector("script").src)
      );
      const view = new MarkdownView();
      view.update(source);
      document.body.append(view.element);
      const bad = [];
      for (const element of view.element.querySelectorAll("*")) {
        if (!tags.includes(element.tagName.toUpperCase())) bad.push(element.outerHTML);
        for (const { name, value } of element.attributes) {
          if (!attributes.includes(name)) bad.push(`${name}=${value}`);
          if (name === "href" && !/^(https?:\/\/|mailto:)/.test(value))
            bad.push(`${name}=${value}`);
        }
      }
      view.element.remove();
      return bad;
    },
    [text, [...TAGS], [...ATTRIBUTES]],
  );
}

pageTest("a hostile answer is shown as text, and nothing of it runs", async (page) => {
  await answerWith(page, ...ANSWER.split(/(?<=\n)/));
  await ask(page, "Attack me");
  const answer = page.locator(".message.assistant .markdown").last();
  for (const link of await answer.locator("a").all()) {
    assert.match(await link.getAttribute("href"), /^https?:\/\/example\.com\//);
  }
  await answer.hover();
  await page.mouse.click(700, 300);

  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.match(await answer.innerText(), /<img src=x onerror="window\.hit = 1">/);
  assert.equal(await answer.locator("img, svg:not(.icon), script, iframe, style, form").count(), 0);
  assert.deepEqual(await intruders(page, ANSWER), []);
});

pageTest("a name, an error and a tool call are text too", async (page) => {
  const markup = "<img src=x onerror='window.hit = 1'>";
  const call = { function: { name: markup, arguments: { [markup]: markup } } };
  const message = { role: "assistant", content: "", thinking: markup, tool_calls: [call] };
  const lines = [{ model: "paddock", message, done: false }, { error: markup }];
  await page.route("**/api/chat", (route) =>
    route.fulfill({
      contentType: "application/x-ndjson",
      body: lines.map((line) => JSON.stringify(line)).join("\n"),
    }),
  );
  await page.getByRole("textbox", { name: "Message" }).fill(markup);
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await page.locator("details.thinking summary").click();

  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(await page.locator(".log img").count(), 0);
});

pageTest(
  "text made of all that is special renders to known elements only, and at once",
  async (page) => {
    const pieces = [
      "<",
      ">",
      "&",
      "*",
      "**",
      "_",
      "`",
      "```\n",
      "~~",
      "[",
      "](",
      ")",
      "![",
      "\n",
      "\n\n",
      "- ",
      "1. ",
      "> ",
      "# ",
      "|",
      "---",
      "\\",
      " ",
      "a",
      "中",
      "javascript:",
      "data:",
      "https://e.x/",
      "<img onerror=x>",
      "&#x6a;",
      "'",
      '"',
    ];
    let seed = 1;
    const random = (n) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % n;
    };
    for (let i = 0; i < 40; i += 1) {
      const text = Array.from({ length: 400 }, () => pieces[random(pieces.length)]).join("");
      assert.deepEqual(await intruders(page, text), [], text);
    }
    for (const piece of pieces) assert.deepEqual(await intruders(page, piece.repeat(20_000)), []);
    assert.deepEqual(await intruders(page, "[a](".repeat(20_000) + "*a **b ".repeat(20_000)), []);
  },
);

pageTest(
  "the browser itself refuses markup made from text",
  { faults: [/TrustedHTML|Trusted Type|Content Security Policy/] },
  async (page) => {
    const refusal = await page.evaluate(() => {
      try {
        document.body.innerHTML = "<b>x</b>";
        return "";
      } catch (error) {
        return error.name;
      }
    });
    assert.equal(refusal, "TypeError");
    assert.equal(
      await page.evaluate(() => fetch("https://example.com/").catch(() => "refused")),
      "refused",
    );
  },
);

pageTest("Markdown that models write looks as it is meant", async (page) => {
  const html = await page.evaluate(async () => {
    const { MarkdownView } = await import(
      new URL("markdown/render.js", document.querySelector("script").src)
    );
    const render = (text) => {
      const view = new MarkdownView();
      view.update(text);
      return view.element.innerHTML.replace(
        / (class|tabindex|role|aria-label|target|rel|title)="[^"]*"/g,
        "",
      );
    };
    return Object.fromEntries(
      [
        "**bold** and *slanted*, `code`, ~~gone~~",
        "**中文：**后面",
        "snake_case_name and 2 * 3 * 4",
        "1. one\n2. two\n   - inner\n\n   more\n3. three",
        "- [x] done\n- [ ] open",
        "see https://example.com/a_(b). And <https://e.com>",
        '[text](https://e.com/a "title")',
        "a  \nb\\\nc",
        "# Head\ntext\n***\n> quoted\ncontinued",
        "|a|b|\n|:-:|--:|\n|1|2\\|3|",
        "***both***",
        "&lt;b&gt; &amp; \\*",
      ].map((text) => [text, render(text)]),
    );
  });
  assert.deepEqual(html, {
    "**bold** and *slanted*, `code`, ~~gone~~":
      "<p><strong>bold</strong> and <em>slanted</em>, <code>code</code>, <del>gone</del></p>",
    "**中文：**后面": "<p><strong>中文：</strong>后面</p>",
    "snake_case_name and 2 * 3 * 4": "<p>snake_case_name and 2 * 3 * 4</p>",
    "1. one\n2. two\n   - inner\n\n   more\n3. three":
      "<ol><li>one</li><li><p>two</p><ul><li>inner</li></ul><p>more</p></li><li>three</li></ol>",
    "- [x] done\n- [ ] open":
      '<ul><li><input type="checkbox" disabled="" checked="">done</li><li><input type="checkbox" disabled="">open</li></ul>',
    "see https://example.com/a_(b). And <https://e.com>":
      '<p>see <a href="https://example.com/a_(b)">https://example.com/a_(b)</a>. And <a href="https://e.com/">https://e.com</a></p>',
    '[text](https://e.com/a "title")': '<p><a href="https://e.com/a">text</a></p>',
    "a  \nb\\\nc": "<p>a<br>b<br>c</p>",
    "# Head\ntext\n***\n> quoted\ncontinued":
      "<h3>Head</h3><p>text</p><hr><blockquote><p>quoted\ncontinued</p></blockquote>",
    "|a|b|\n|:-:|--:|\n|1|2\\|3|":
      "<div><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2|3</td></tr></tbody></table></div>",
    "***both***": "<p><em><strong>both</strong></em></p>",
    "&lt;b&gt; &amp; \\*": "<p>&lt;b&gt; &amp; *</p>",
  });
});
