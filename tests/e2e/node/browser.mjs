// Pages in a real browser: node driver.mjs browser. Elements are named by CSS selectors.

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];

// A microphone that plays a sound file to whoever asks for it, without a person to allow it.
const microphone = (file) => [
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-audio-capture=${file}`,
];

// Counts the bytes that a page records, so that a test can wait for a sound instead of for a time.
function watchRecorder() {
  const start = MediaRecorder.prototype.start;
  MediaRecorder.prototype.start = function (...options) {
    window.recorder = Object.assign(this, { heard: 0 });
    this.addEventListener("dataavailable", ({ data }) => (this.heard += data.size));
    return start.apply(this, options);
  };
}

export async function load() {
  let browser;
  const pages = new Map();

  const page = (name) => {
    const found = pages.get(name);
    if (!found) throw new Error(`no open page ${name}`);
    return found;
  };

  // What the page would have shown a person only in the console.
  function watch(opened) {
    const record = { view: opened, problems: [], origins: new Set() };
    opened.on("pageerror", (error) => record.problems.push(`uncaught: ${error.message}`));
    opened.on("console", (message) => {
      if (message.type() === "error") record.problems.push(`console: ${message.text()}`);
    });
    opened.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith("http")) record.origins.add(origin);
    });
    return record;
  }

  const operations = {
    async launch({ executable, sound }) {
      const args = sound ? [...FLAGS, ...microphone(sound)] : FLAGS;
      browser = await chromium.launch({ executablePath: executable, headless: true, args });
    },

    async open({ page: name, url, cookies = {}, width = 1280, height = 900 }) {
      const context = await browser.newContext({ viewport: { width, height } });
      await context.addCookies(Object.entries(cookies).map(([key, value]) => ({ name: key, value, url })));
      await context.addInitScript(watchRecorder);
      const record = watch(await context.newPage());
      pages.set(name, record);
      await record.view.goto(url);
    },

    async goto({ page: name, url }) {
      await page(name).view.goto(url);
    },

    async reload({ page: name }) {
      await page(name).view.reload();
    },

    async close({ page: name }) {
      const { view } = page(name);
      pages.delete(name);
      await view.context().close();
    },

    // Waits for an element, or for `count` of them, or for one with a text in it.
    async wait({ page: name, selector, text, count, gone, deadline }) {
      const { view } = page(name);
      const found = text === undefined ? view.locator(selector) : view.locator(selector, { hasText: text });
      if (gone) return found.first().waitFor({ state: "detached", timeout: deadline });
      if (count === undefined) return found.first().waitFor({ state: "visible", timeout: deadline });
      await view.waitForFunction(
        ([wanted, expected]) => document.querySelectorAll(wanted).length === expected,
        [selector, count],
        { timeout: deadline },
      );
    },

    // Waits until the newest of these elements has that many words, and returns what it says then.
    async words({ page: name, selector, count, deadline }) {
      const said = await page(name).view.waitForFunction(
        ([wanted, expected]) => {
          const newest = [...document.querySelectorAll(wanted)].at(-1)?.innerText ?? "";
          return newest.split(/\s+/).filter(Boolean).length >= expected && newest;
        },
        [selector, count],
        { timeout: deadline },
      );
      return said.jsonValue();
    },

    // Waits until an element says something, and not this.
    async changed({ page: name, selector, old, deadline }) {
      const found = page(name).view.locator(selector);
      await found.filter({ hasText: /\S/, hasNotText: old }).waitFor({ state: "visible", timeout: deadline });
    },

    async click({ page: name, selector, text, deadline }) {
      const { view } = page(name);
      const found = text === undefined ? view.locator(selector) : view.locator(selector, { hasText: text });
      await found.first().click({ timeout: deadline });
    },

    async hover({ page: name, selector, deadline }) {
      await page(name).view.locator(selector).first().hover({ timeout: deadline });
    },

    async fill({ page: name, selector, value, deadline }) {
      await page(name).view.locator(selector).first().fill(value, { timeout: deadline });
    },

    async press({ page: name, selector, key, deadline }) {
      await page(name).view.locator(selector).first().press(key, { timeout: deadline });
    },

    // Waits until an input holds exactly this.
    async value({ page: name, selector, expected, deadline }) {
      await page(name).view.waitForFunction(
        ([wanted, value]) => document.querySelector(wanted)?.value === value,
        [selector, expected],
        { timeout: deadline },
      );
    },

    // Waits until the page records and has so many bytes of it.
    async recorded({ page: name, bytes, deadline }) {
      await page(name).view.waitForFunction(
        (least) => window.recorder?.state === "recording" && window.recorder.heard >= least,
        bytes,
        { timeout: deadline },
      );
    },

    async texts({ page: name, selector }) {
      return page(name).view.locator(selector).allInnerTexts();
    },

    async attribute({ page: name, selector, attribute }) {
      return page(name).view.locator(selector).first().getAttribute(attribute, { timeout: 5_000 });
    },

    async attributes({ page: name, selector, attribute }) {
      return page(name).view.locator(selector).evaluateAll((found, of) => found.map((one) => one.getAttribute(of)), attribute);
    },

    // Opens an EventSource in the page; `heard` returns its messages and whether it gave up (2).
    async listen({ page: name, url }) {
      await page(name).view.evaluate((address) => {
        const source = new EventSource(address);
        const heard = [];
        source.onmessage = (event) => heard.push({ id: event.lastEventId, event: JSON.parse(event.data) });
        Object.assign(window, { source, heard });
      }, url);
    },

    async heard({ page: name, count = 0, closed = false, deadline }) {
      const said = await page(name).view.waitForFunction(
        ([least, ended]) =>
          window.heard.length >= least &&
          (!ended || window.source.readyState === EventSource.CLOSED) && { messages: window.heard },
        [count, closed],
        { timeout: deadline },
      );
      return (await said.jsonValue()).messages;
    },

    async screenshot({ page: name, path }) {
      await page(name).view.screenshot({ path });
    },

    problems: ({ page: name }) => page(name).problems.splice(0),
    origins: ({ page: name }) => [...page(name).origins],
    address: ({ page: name }) => page(name).view.url(),

    async quit() {
      await browser?.close();
    },
  };

  return { operations };
}
